"""Full fine-tuning: every parameter, with transformers' Trainer."""

import logging
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from effcomp.core.device import Device, cuda_count
from effcomp.core.errors import UserError
from effcomp.core.machine import multiplies
from effcomp.finetune.base import Finetune, TrainingCurve, TrainingRow, TrainingSetup
from effcomp.finetune.distributed import train_in_processes
from effcomp.finetune.rows import collator, training_rows
from effcomp.models.heads import Head
from effcomp.tasks.base import Examples, Splits
from effcomp.tasks.splits import stratified_split, subset

if TYPE_CHECKING:
    from transformers import PreTrainedModel, Trainer

log = logging.getLogger(__name__)

POSITIVE = Annotated[float, Field(gt=0)]


class FullFinetune(Finetune):
    """Training of every parameter by AdamW."""

    id: ClassVar[str] = "finetune/full"
    bytes_per_parameter: ClassVar[float] = 16  # float32 weights, gradients, and two moments of AdamW
    epochs: POSITIVE
    """Passes over the training examples; a fraction is allowed."""
    batch_size: Annotated[int, Field(ge=1)]
    """Number of examples in a batch, over all processes together."""
    processes: Annotated[int, Field(ge=1)]
    """Number of processes (torchrun's), each on a GPU, or together on the CPU (gloo). Steps and their examples are
    those of one process; each process draws its own dropout and masks of a masked language model."""
    learning_rate: POSITIVE
    """Peak of AdamW's rate; it rises over the warm-up and falls linearly to 0."""
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)]
    """Share of all steps over which the learning rate rises from 0 to its peak."""
    weight_decay: Annotated[float, Field(ge=0)]
    """AdamW's decoupled weight decay."""
    train_samples: Annotated[int, Field(ge=1)] | None
    """Train on this many examples, drawn with the run's seed; null: all."""
    gradient_accumulation: Annotated[int, Field(ge=1)]
    """Batches whose gradients are added up before each step of the optimizer."""
    gradient_checkpointing: bool
    """Recompute activations in the backward pass: slower, in less memory."""
    checkpoint_steps: Annotated[int, Field(ge=1)]
    """Write a checkpoint after this many steps; an interrupted training resumes from the last."""
    patience: Annotated[int, Field(ge=1)] | None
    """Early stopping after this many checkpoints without a lower loss; null: train to the end. The checkpoints are
    consecutive, the loss is that of held-back examples, and the best checkpoint is kept; with null the last weights."""
    validation_share: Annotated[float, Field(gt=0, lt=1)]
    """Share of the training examples held back to decide when to stop; with patience alone."""
    precision: Literal["auto", "fp32", "bf16"]
    """Type of the matrix products; auto: bf16 where the processor has it. Weights and optimizer stay float32."""

    def examples_used(self, examples: Examples) -> int:
        count = self.train_samples or len(examples)
        return count - self.held_back(count)

    def held_back(self, count: int) -> int:
        """Return the number of these examples that are held out of the training."""
        return max(1, round(self.validation_share * count)) if self.patience is not None else 0

    def precision_on(self, device: Device) -> str:
        if self.precision == "auto":
            return "bf16" if multiplies("bfloat16", device) else "fp32"
        return self.precision

    def check(self) -> None:
        if self.batch_size % self.processes:
            raise UserError(
                f"finetune.batch_size={self.batch_size} cannot be shared equally by "
                f"finetune.processes={self.processes}; give a multiple of {self.processes}"
            )

    def check_device(self, device: Device) -> None:
        super().check_device(device)
        if device.kind == "cuda" and self.processes > (gpus := cuda_count()):
            raise UserError(
                f"finetune.processes={self.processes}: there are {gpus} CUDA devices, and each process needs its own"
            )

    def check_task(self, splits: Splits, head: Head, max_length: int) -> None:
        if self.train_samples is not None and self.train_samples > len(splits.train):
            raise UserError(
                f"finetune.train_samples={self.train_samples}: the task has {len(splits.train)} training examples"
            )
        if head == "sequence_classification":  # of language models the blocks count: see train
            self.check_patience(self.examples_used(splits.train))

    def check_patience(self, rows: int) -> None:
        """Raise UserError for early stopping on so few rows that training ends before the first checkpoint."""
        steps = self.steps(rows)
        if self.patience is not None and steps < self.checkpoint_steps:
            reason = f"the training has {steps} steps and looks every finetune.checkpoint_steps={self.checkpoint_steps}"
            raise UserError(
                f"finetune.patience={self.patience}: {reason}; give {max(1, steps // 10)}, or patience=null"
            )

    def steps(self, rows: int) -> int:
        """Return the number of steps, as the Trainer counts them."""
        return ceil(ceil(rows / (self.batch_size * self.gradient_accumulation)) * self.epochs)

    def warn_of_one_step(self, rows: int) -> None:
        """Log a warning where the only step of the training is the first of the warm-up, which changes no weight."""
        if self.steps(rows) == 1 and self.warmup_ratio > 0:
            log.warning(
                "finetune=%s is one step, and the warm-up begins at a learning rate of 0: nothing is learned; "
                "train on more, or give finetune.warmup_ratio=0",
                self.name,
            )

    def adapt(self, model: "PreTrainedModel", head: Head, place: str) -> "PreTrainedModel":
        """Return the model as it is trained, on this device (`cuda:1`); the model itself, where every parameter is
        trained.
        """
        return model

    def merge(self, model: "PreTrainedModel") -> "PreTrainedModel":
        """Return the plain model inside `adapt`'s, with what was learned in its weights."""
        return model

    def rows(self, setup: TrainingSetup, examples: Examples) -> list[TrainingRow]:
        """Return the Trainer's data set of these examples."""
        return training_rows(setup, examples)

    def trainer(self, setup: TrainingSetup, **settings: Any) -> "Trainer":
        """Return the Trainer with these settings."""
        from effcomp.finetune.trainer import GroupedTrainer

        return GroupedTrainer(causal=setup.head == "causal_lm", **settings)

    def train(self, setup: TrainingSetup) -> "tuple[PreTrainedModel, TrainingCurve]":
        examples, held_back = subset(setup.examples, self.train_samples, setup.seed), None
        if self.patience is not None:
            count = self.held_back(len(examples))
            source = f"finetune.validation_share={self.validation_share}: the training part"
            examples, held_back = stratified_split(examples, count, setup.seed, source)
        rows = self.rows(setup, examples)
        self.check_patience(len(rows))
        self.warn_of_one_step(len(rows))
        held_back_rows = self.rows(setup, held_back) if held_back is not None else None
        if self.processes > 1:
            return train_in_processes(self, self.processes, setup, rows, held_back_rows)
        return self.train_on(setup, rows, held_back_rows)

    def train_on(
        self, setup: TrainingSetup, rows: list[TrainingRow], held_back: list[TrainingRow] | None
    ) -> "tuple[PreTrainedModel, TrainingCurve]":
        """Train with batches of similar length, each padded to its own longest text.

        With several processes each calls this, under torchrun, and gets the same trained model and curve.

        Args:
            rows: the training examples, as `rows` returns them.
            held_back: rows whose loss decides early stopping; None without it.
        """
        from transformers import TrainingArguments, set_seed

        from effcomp.core.private.trainer import use_one_gpu
        from effcomp.finetune.trainer import KeepZeros, Patience

        arguments = TrainingArguments(
            output_dir=str(setup.scratch),
            num_train_epochs=self.epochs,
            per_device_train_batch_size=self.batch_size // self.processes,
            per_device_eval_batch_size=self.batch_size // self.processes,
            learning_rate=self.learning_rate,
            warmup_steps=self.warmup_ratio,
            weight_decay=self.weight_decay,
            bf16=self.precision_on(setup.device) == "bf16",
            use_cpu=setup.device.kind == "cpu",
            seed=setup.seed,
            logging_steps=10,
            logging_first_step=True,
            logging_nan_inf_filter=False,
            save_strategy="steps",
            save_steps=self.checkpoint_steps,
            save_total_limit=1,
            eval_strategy="steps" if held_back else "no",
            eval_steps=self.checkpoint_steps,
            prediction_loss_only=True,
            load_best_model_at_end=held_back is not None,
            metric_for_best_model="eval_loss" if held_back else None,
            gradient_accumulation_steps=self.gradient_accumulation,
            gradient_checkpointing=self.gradient_checkpointing,
            report_to="none",
            dataloader_pin_memory=setup.device.kind == "cuda",
            ddp_find_unused_parameters=False,
            log_level_replica="error",
        )
        use_one_gpu(arguments)
        set_seed(setup.seed)  # of adapters
        model = self.adapt(setup.model, setup.head, str(arguments.device))
        masks = {name: model.get_parameter(name).detach() != 0 for name in setup.masks}  # adapt may transpose weights
        trainer = self.trainer(
            setup,
            model=model,
            args=arguments,
            rows=rows,
            eval_dataset=held_back,
            data_collator=collator(setup),
            callbacks=[
                *([Patience(self.patience)] if self.patience is not None else []),
                *([KeepZeros(masks)] if masks else []),
                *setup.callbacks,
            ],
        )
        set_seed(setup.seed + arguments.process_index)  # of what each process draws: dropout, masks
        trainer.train(resume_from_checkpoint=last_checkpoint(setup.scratch))
        curve = [row for row in trainer.state.log_history if "loss" in row or "eval_loss" in row]
        # accelerate had wrapped its forward; it may be trained again, in another type.
        trained = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
        return self.merge(trained).to("cpu"), curve


def last_checkpoint(scratch: Path) -> str | None:
    """Return the newest complete checkpoint of an interrupted training; the Trainer writes trainer_state.json last."""
    whole = [
        file.parent for file in scratch.glob("checkpoint-*/trainer_state.json") if file.read_text().endswith("}\n")
    ]
    if not whole:
        return None
    newest = max(whole, key=lambda folder: int(folder.name.rpartition("-")[2]))
    log.info("going on from %s", newest)
    return str(newest)
