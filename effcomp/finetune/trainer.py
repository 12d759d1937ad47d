"""Subclasses of transformers' Trainer. Their import takes seconds, so they are imported where training begins."""

import time
from collections.abc import Iterator
from itertools import islice
from math import isfinite
from typing import Any

import torch
from accelerate.data_loader import DataLoaderShard
from torch.nn import functional
from torch.utils.data import DataLoader, Sampler, SequentialSampler
from transformers import PreTrainedModel, TrainerCallback
from transformers.trainer_callback import EarlyStoppingCallback, PrinterCallback, ProgressCallback
from transformers.trainer_utils import EvalLoopOutput

from effcomp.core.batches import IGNORED
from effcomp.core.errors import Diverged, UserError, first_line
from effcomp.core.private.trainer import CheckpointTrainer
from effcomp.core.progress import Progress
from effcomp.finetune.hidden_states import nearest_loss
from effcomp.finetune.sampler import LengthGrouped, Share

DIVERGED = 1000
"""Multiple of the first loss above which a training stops as diverged."""
SMALLEST_LOSS = 0.01
"""Lower bound of the first loss in nats, for DIVERGED: a training that begins near 0 may grow a thousandfold."""


def check_loss(first: float, loss: float, step: int) -> None:
    """Raise Diverged for a loss that is not finite or has grown a thousandfold."""
    if not isfinite(loss) or loss > DIVERGED * max(first, SMALLEST_LOSS):
        reason = f"the training diverged: its loss was {first:.3g} at first and is {loss:.3g} at step {step}"
        raise Diverged(f"{reason}; give a smaller finetune.learning_rate")


class GroupedTrainer(CheckpointTrainer):
    """Trainer with batches of similar length, in an order that seed and epoch alone determine, and one progress bar.

    A batch has the same examples for any number of processes. The loss of an optimizer step is the mean over all its
    labels, over accumulated batches and processes; both only spread the work.
    """

    def __init__(self, *, rows: list[dict[str, Any]], causal: bool, **settings: Any) -> None:
        self.lengths, self.causal = [len(row["input_ids"]) for row in rows], causal
        super().__init__(train_dataset=rows, **settings)
        self.model_accepts_loss_kwargs = True  # compute_loss divides by the number of labels: do not average again
        self.began = time.perf_counter()
        self.collator = self.column_collator()
        if self.is_world_process_zero():
            self.add_callback(Bar())
        self.remove_callback(ProgressCallback)
        self.remove_callback(PrinterCallback)

    def get_train_dataloader(self) -> DataLoader[Any]:
        batch_size = self.args.train_batch_size * self.args.world_size
        return self.loader(self.train_dataset, LengthGrouped(self.lengths, batch_size, self.args.seed))

    def get_eval_dataloader(self, *_: Any) -> DataLoader[Any]:
        return self.loader(self.eval_dataset, SequentialSampler(self.eval_dataset))

    def loader(self, rows: list[dict[str, Any]], order: Sampler[int]) -> DataLoader[Any]:
        """Return this process's share of each batch. The Trainer's own loader gives the last process a few examples
        twice.
        """
        processes = self.args.world_size
        share = Share(order, self.args.train_batch_size * processes, self.args.process_index, processes)
        loader: DataLoader[Any] = DataLoaderShard(
            rows,
            device=self.args.device,
            batch_sampler=share,
            collate_fn=self.collate,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return loader

    def collate(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Make a batch of rows; of no rows an example without labels, since every process takes part in each step."""
        batch: dict[str, torch.Tensor] = self.collator(rows or self.train_dataset[:1])
        if not rows:
            batch["labels"].fill_(IGNORED)
        return batch

    def log(self, logs: dict[str, float], *more: Any) -> None:
        """Log a row of the curve, with the seconds since this try began.

        Raises:
            UserError: the loss is not finite, or has grown a thousandfold.
        """
        super().log({**logs, "seconds": round(time.perf_counter() - self.began, 3)}, *more)
        if "loss" in logs:
            first = next(row["loss"] for row in self.state.log_history if "loss" in row)
            check_loss(float(first), float(logs["loss"]), self.state.global_step)

    def get_batch_samples(
        self, epoch_iterator: Iterator[dict[str, torch.Tensor]], num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, torch.Tensor]], torch.Tensor]:
        """Return the batches of one optimizer step, and the number of their labels in all processes."""
        batches = list(islice(epoch_iterator, num_batches))
        return batches, self.accelerator.reduce(torch.stack([self.labels_in(batch) for batch in batches]).sum())

    def labels_in(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Count the labels in the loss; a causal model does not predict the first token."""
        labels = batch["labels"][:, 1:] if self.causal else batch["labels"]
        return (labels != IGNORED).sum()

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], *_: Any, num_items_in_batch: torch.Tensor, **__: Any
    ) -> torch.Tensor:
        # The gradients of the processes are averaged, and are to be added up.
        processes: int = self.args.world_size
        return self.sum_of_losses(model, inputs) / num_items_in_batch * processes

    def sum_of_losses(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        labels = self.labels_in(inputs)
        loss = self.mean_loss(model, inputs)  # of no labels: not a number
        return torch.where(labels > 0, loss * labels, 0)

    def mean_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        try:
            loss: torch.Tensor = model(**inputs).loss
        except RuntimeError as error:
            if "BFloat16" not in str(error):
                raise
            reason = f"finetune.precision=bf16: the model fails in it ({first_line(error)})"
            raise UserError(f"{reason}; give finetune.precision=fp32") from error
        return loss

    def evaluation_loop(
        self, dataloader: DataLoader[Any], *_: Any, metric_key_prefix: str, **__: Any
    ) -> EvalLoopOutput:
        """Return the mean loss over all labels; those that a masked model predicts are the same at each look."""
        self.model.eval()
        sums = torch.zeros(2, device=self.args.device)
        gpus = [self.args.device] if self.args.device.type == "cuda" else []
        with torch.no_grad(), torch.random.fork_rng(gpus):
            torch.manual_seed(self.args.seed)
            for inputs in dataloader:
                sums += torch.stack([self.sum_of_losses(self.model, inputs), self.labels_in(inputs)])
        losses, labels = self.accelerator.reduce(sums).tolist()
        metrics = {f"{metric_key_prefix}_loss": losses / labels}
        return EvalLoopOutput(predictions=None, label_ids=None, metrics=metrics, num_samples=len(self.eval_dataset))


class DistillationTrainer(GroupedTrainer):
    """Trainer with the loss of Hinton et al. (2015, "Distilling the Knowledge in a Neural Network", section 2):

        share * T^2 * KL(teacher / T, student / T) + (1 - share) * cross-entropy with the labels

    over examples, or over the tokens that are predicted, plus hidden_loss * `nearest_loss`. The teacher's logits come
    with the batch as `teacher_logits`, or from `teacher` itself.
    """

    def __init__(
        self,
        *,
        teacher: PreTrainedModel | None,
        temperature: float,
        share: float,
        hidden_loss: float,
        **settings: Any,
    ) -> None:
        self.temperature, self.share, self.hidden_loss = temperature, share, hidden_loss
        super().__init__(**settings)
        self.teacher = teacher.to(self.args.device).eval() if teacher is not None else None

    def mean_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        inputs = dict(inputs)
        wanted, labels = inputs.pop("teacher_logits", None), inputs["labels"]
        states = {"output_hidden_states": True} if self.hidden_loss > 0 else {}
        outputs, theirs = model(**inputs, **states), None
        logits = outputs.logits
        if self.teacher is not None:
            with torch.no_grad():
                theirs = self.teacher(**{name: one for name, one in inputs.items() if name != "labels"}, **states)
        if wanted is None:
            assert theirs is not None, "the batch or the teacher has the logits"
            wanted = theirs.logits
            if self.causal:  # each position predicts the next token
                logits, wanted, labels = logits[:, :-1], wanted[:, :-1], labels[:, 1:]
            predicted = labels != IGNORED
            tokens = min(logits.shape[-1], wanted.shape[-1])  # the rows of one model may be filled up further
            logits, wanted = logits[predicted][:, :tokens], wanted[predicted][:, :tokens]
        softened = functional.kl_div(
            functional.log_softmax(logits.float() / self.temperature, dim=-1),
            functional.log_softmax(wanted.float() / self.temperature, dim=-1),
            reduction="batchmean",
            log_target=True,
        )
        loss: torch.Tensor = self.share * self.temperature**2 * softened + (1 - self.share) * outputs.loss
        if self.hidden_loss == 0:
            return loss
        assert theirs is not None, "the teacher of hidden states reads each batch"
        mask = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"]))
        return loss + self.hidden_loss * nearest_loss(outputs.hidden_states[1:], theirs.hidden_states[1:], mask)


class Patience(EarlyStoppingCallback):
    """Early stopping that a resumed training goes on with."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        super().on_train_begin(args, state, control, **more)
        losses = [row["eval_loss"] for row in state.log_history if "eval_loss" in row]
        self.early_stopping_patience_counter = len(losses) - 1 - losses.index(min(losses)) if losses else 0
        control.should_training_stop = self.early_stopping_patience_counter >= self.early_stopping_patience


class KeepZeros(TrainerCallback):
    """Callback that keeps pruned weights at zero: each step of the optimizer moves them, and they are set back."""

    def __init__(self, masks: dict[str, torch.Tensor]) -> None:
        self.masks = masks

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.masks = {name: mask.to(args.device) for name, mask in self.masks.items()}

    @torch.no_grad()
    def on_optimizer_step(self, args: Any, state: Any, control: Any, *, model: PreTrainedModel, **_: Any) -> None:
        for name, mask in self.masks.items():
            model.get_parameter(name).mul_(mask)


class Bar(TrainerCallback):
    """Progress of the training, with the last loss that was logged."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.progress, self.loss = Progress("fine-tuning", state.max_steps), ""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.progress.to(state.global_step, self.loss)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if "loss" in logs:
            self.loss = f"loss {float(logs['loss']):.3f}"

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.progress.close()
