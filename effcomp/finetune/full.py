"""Full fine-tuning: every parameter, with transformers' Trainer."""

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from effcomp.device import Device
from effcomp.errors import UserError
from effcomp.finetune.base import Finetune, Job
from effcomp.heads import Head
from effcomp.measure.machine import has_bf16
from effcomp.tasks.base import Examples
from effcomp.tasks.blocks import blocks

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

log = logging.getLogger(__name__)

POSITIVE = Annotated[float, Field(gt=0)]


class FullFinetune(Finetune):
    epochs: POSITIVE
    batch_size: Annotated[int, Field(ge=1)]
    learning_rate: POSITIVE
    """Peak of AdamW's rate; it rises over the warm-up and falls linearly to 0."""
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0)]
    train_samples: Annotated[int, Field(ge=1)] | None
    """Train on this many examples, drawn with the run's seed; null: all."""
    gradient_accumulation: Annotated[int, Field(ge=1)]
    """Batches whose gradients are added up before each step of the optimiser."""
    gradient_checkpointing: bool
    """Compute activations again in the backward pass instead of keeping them: slower, in less memory."""
    checkpoint_steps: Annotated[int, Field(ge=1)]
    """Write a checkpoint after this many steps; an interrupted training goes on from the last one."""
    precision: Literal["auto", "fp32", "bf16"]
    """Type of the matrix products; weights and optimiser stay float32. auto: bf16 where the processor has it."""

    def examples_used(self, examples: Examples) -> int:
        return self.train_samples or len(examples)

    def precision_on(self, device: Device) -> str:
        if self.precision == "auto":
            return "bf16" if has_bf16(device) else "fp32"
        return self.precision

    def check(self, examples: Examples) -> None:
        if self.train_samples is not None and self.train_samples > len(examples):
            raise UserError(
                f"finetune.train_samples={self.train_samples}: the task has {len(examples)} training examples"
            )

    def adapt(self, model: "PreTrainedModel", head: Head) -> "PreTrainedModel":
        """The model as it is trained; the model itself, where every parameter is."""
        return model

    def merge(self, model: "PreTrainedModel") -> "PreTrainedModel":
        """The plain model behind `adapt`, with what was learned in its weights."""
        return model

    def train(self, job: Job) -> "tuple[PreTrainedModel, list[dict[str, Any]]]":
        """Train with batches of like length, each padded to its own longest text."""
        from transformers import Trainer, TrainingArguments
        from transformers.trainer_callback import PrinterCallback, ProgressCallback

        from effcomp.finetune.sampler import LengthGrouped

        assert job.tokenizer is not None, "an architecture alone is not trained"
        rows, collator = training_rows(job, job.tokenizer, self.train_samples)
        arguments = TrainingArguments(
            output_dir=str(job.scratch),
            num_train_epochs=self.epochs,
            per_device_train_batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            warmup_steps=self.warmup_ratio,
            weight_decay=self.weight_decay,
            bf16=self.precision_on(job.device) == "bf16",
            use_cpu=job.device.kind == "cpu",
            seed=job.seed,
            logging_steps=10,
            logging_first_step=True,
            save_strategy="steps",
            save_steps=self.checkpoint_steps,
            save_total_limit=1,
            gradient_accumulation_steps=self.gradient_accumulation,
            gradient_checkpointing=self.gradient_checkpointing,
            report_to="none",
            dataloader_pin_memory=job.device.kind == "cuda",
        )
        if arguments.n_gpu > 1:  # DataParallel would multiply the batch size that was asked for
            arguments._n_gpu = 1

        class GroupedTrainer(Trainer):
            def _get_train_sampler(self, *_: Any) -> LengthGrouped:
                return LengthGrouped([len(row["input_ids"]) for row in rows], self.args.train_batch_size, job.seed)

        trainer = GroupedTrainer(
            model=self.adapt(job.model, job.head),
            args=arguments,
            train_dataset=rows,
            data_collator=collator,
            callbacks=[progress_bar()],
        )
        trainer.remove_callback(ProgressCallback)
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=last_checkpoint(job.scratch))
        return self.merge(trainer.model).to("cpu"), [row for row in trainer.state.log_history if "loss" in row]


def last_checkpoint(scratch: Path) -> str | None:
    """The newest whole checkpoint that an interrupted training left; the Trainer writes trainer_state.json last."""
    whole = [
        file.parent for file in scratch.glob("checkpoint-*/trainer_state.json") if file.read_text().endswith("}\n")
    ]
    if not whole:
        return None
    newest = max(whole, key=lambda folder: int(folder.name.rpartition("-")[2]))
    log.info("going on from %s", newest)
    return str(newest)


def training_rows(
    job: Job, tokenizer: "PreTrainedTokenizerBase", train_samples: int | None
) -> tuple[list[dict[str, Any]], Any]:
    """What the Trainer reads, and the collator that makes batches of it."""
    from transformers import DataCollatorForLanguageModeling, DataCollatorForSeq2Seq, DataCollatorWithPadding

    examples = subset(job.examples, train_samples, job.seed)
    if job.head == "sequence_classification":
        encoded = tokenizer(
            list(examples.texts), list(examples.pairs) or None, truncation=True, max_length=job.max_length
        )
        rows = [
            {**{name: encoded[name][i] for name in encoded}, "labels": label} for i, label in enumerate(examples.labels)
        ]
        return rows, DataCollatorWithPadding(tokenizer)
    packed = blocks(examples, tokenizer, job.max_length, job.head)
    if job.head == "masked_lm":  # other masks at each epoch
        return [{"input_ids": block} for block in packed], DataCollatorForLanguageModeling(tokenizer)
    return [{"input_ids": block, "labels": block} for block in packed], DataCollatorForSeq2Seq(tokenizer)


def subset(examples: Examples, count: int | None, seed: int) -> Examples:
    """`count` of the examples, drawn without replacement; all of them for None."""
    import numpy as np

    if count is None:
        return examples
    return examples.take(np.random.default_rng(seed).permutation(len(examples))[:count].tolist())


def progress_bar() -> "TrainerCallback":
    """One bar on standard error, with the loss; in a log file a line every ten seconds."""
    from tqdm import tqdm
    from transformers import TrainerCallback

    class Bar(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            interval = 0.1 if sys.stderr.isatty() else 10.0
            self.bar = tqdm(total=state.max_steps, desc="fine-tuning", unit="step", mininterval=interval)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.bar.update(state.global_step - self.bar.n)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "loss" in logs:
                self.bar.set_postfix(loss=f"{float(logs['loss']):.3f}", refresh=False)

        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.bar.close()

    return Bar()
