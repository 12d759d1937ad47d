"""Hooks of transformers' Trainer. Its import takes seconds."""

from collections.abc import Callable
from typing import Any

from transformers import Trainer, TrainingArguments


class CheckpointTrainer(Trainer):
    """Trainer whose processes have all written their part of a checkpoint before it is marked as complete."""

    def _save_rng_state(self, output_dir: str) -> None:
        """Write this process's state; trainer_state.json, written afterwards, marks the checkpoint as complete."""
        super()._save_rng_state(output_dir)
        self.accelerator.wait_for_everyone()

    def column_collator(self) -> Callable[[Any], Any]:
        """Return the collator that leaves out the columns that the model does not take."""
        collator: Callable[[Any], Any] = self._get_collator_with_removed_columns(self.data_collator)
        return collator


def use_one_gpu(arguments: TrainingArguments) -> None:
    """Train on one GPU of several: DataParallel would multiply the batch size that was asked for."""
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1
