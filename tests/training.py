"""Fine-tuning as a run does it, for tests."""

from pathlib import Path

from effcomp.core.store import Store
from effcomp.finetune.base import TrainingSetup
from effcomp.models.heads import Head
from effcomp.pipeline.compose import Components


def new_setup(parts: Components, head: Head, folder: Path) -> TrainingSetup:
    """The model with a new head where it has none, and what it is trained on; `folder` is where it will be written."""
    splits, store = parts.task.load(), Store(folder.parent / "store")
    parts.finetune.check_task(splits, head, 64)
    return TrainingSetup(
        model=parts.model.build(head, splits.label_names, parts.seed, store, as_it_is=False),
        head=head,
        tokenizer=parts.model.tokenizer(store),
        examples=splits.train,
        max_length=64,
        device=parts.device.resolved(),
        seed=parts.seed,
        scratch=folder.parent / f"scratch {folder.name}",
    )


def train(parts: Components, head: Head, folder: Path) -> None:
    """Fine-tune as a run does, into a new folder."""
    folder.mkdir()
    parts.finetune.write(new_setup(parts, head, folder), folder)
