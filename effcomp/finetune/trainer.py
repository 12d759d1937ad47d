"""transformers' Trainer as effcomp uses it. Importing it costs seconds: it is imported where training begins."""

import sys
from typing import Any

import torch
from torch.nn import functional
from tqdm import tqdm
from transformers import PreTrainedModel, Trainer, TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from effcomp.finetune.sampler import LengthGrouped
from effcomp.ragged import IGNORED


class GroupedTrainer(Trainer):
    """Batches of like length in an order that seed and epoch alone decide, and one progress bar."""

    def __init__(self, *, rows: list[dict[str, Any]], causal: bool, **settings: Any) -> None:
        self.lengths, self.causal = [len(row["input_ids"]) for row in rows], causal
        super().__init__(train_dataset=rows, **settings)
        if not causal:  # a classifier takes the number of labels in all accumulated batches, and does not divide by it
            self.model_accepts_loss_kwargs = False
        self.add_callback(Bar())
        self.remove_callback(ProgressCallback)
        self.remove_callback(PrinterCallback)

    def _get_train_sampler(self, *_: Any) -> LengthGrouped:
        return LengthGrouped(self.lengths, self.args.train_batch_size, self.args.seed)


class DistillationTrainer(GroupedTrainer):
    """The loss of Hinton et al. (2015, "Distilling the Knowledge in a Neural Network", section 2):

        share * T^2 * KL(teacher / T, student / T) + (1 - share) * cross-entropy with the labels

    over examples, or over the tokens that are predicted. The teacher's logits come with the batch as
    `teacher_logits`, or from `teacher` itself.
    """

    def __init__(self, *, teacher: PreTrainedModel | None, temperature: float, share: float, **settings: Any) -> None:
        self.temperature, self.share = temperature, share
        super().__init__(**settings)
        self.model_accepts_loss_kwargs = False  # this loss is a mean of its own batch: accumulated ones are averaged
        self.teacher = teacher.to(self.args.device).eval() if teacher is not None else None

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **_: Any
    ) -> "torch.Tensor | tuple[torch.Tensor, Any]":
        inputs = dict(inputs)
        wanted, labels = inputs.pop("teacher_logits", None), inputs["labels"]
        outputs = model(**inputs)
        logits = outputs.logits
        if wanted is None:
            assert self.teacher is not None, "the batch or the teacher has the logits"
            with torch.no_grad():
                wanted = self.teacher(**{name: value for name, value in inputs.items() if name != "labels"}).logits
            if self.causal:  # each position speaks of the next token
                logits, wanted, labels = logits[:, :-1], wanted[:, :-1], labels[:, 1:]
            predicted = labels != IGNORED
            logits, wanted = logits[predicted], wanted[predicted]
        softened = functional.kl_div(
            functional.log_softmax(logits.float() / self.temperature, dim=-1),
            functional.log_softmax(wanted.float() / self.temperature, dim=-1),
            reduction="batchmean",
            log_target=True,
        )
        loss = self.share * self.temperature**2 * softened + (1 - self.share) * outputs.loss
        return (loss, outputs) if return_outputs else loss


class KeepZeros(TrainerCallback):
    """Pruned weights stay at zero: each step of the optimiser moves them, and they are set back."""

    def __init__(self, masks: dict[str, torch.Tensor]) -> None:
        self.masks = masks

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.masks = {name: mask.to(args.device) for name, mask in self.masks.items()}

    @torch.no_grad()
    def on_optimizer_step(self, args: Any, state: Any, control: Any, *, model: PreTrainedModel, **_: Any) -> None:
        for name, mask in self.masks.items():
            model.get_parameter(name).mul_(mask)


class Bar(TrainerCallback):
    """One bar on standard error, with the loss; in a log file a line every ten seconds."""

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
