"""What a way of fine-tuning offers."""

import json
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from effcomp.device import Device
from effcomp.heads import Head
from effcomp.part import Part
from effcomp.tasks.base import Examples, Splits

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LOG_FILE = "training.json"


@dataclass(frozen=True)
class Job:
    """What is trained, on what, where."""

    model: "PreTrainedModel"
    head: Head
    tokenizer: "PreTrainedTokenizerBase | None"
    """None for an architecture alone, which is not trained."""
    examples: Examples
    max_length: int
    device: Device
    seed: int
    scratch: Path
    """Where training keeps its own checkpoints; what an interrupted try left there is gone on from."""


class Finetune(Part):
    """A way of training. To add one: a subclass, conf/finetune/<name>.yaml, a test."""

    trains: ClassVar[bool] = True
    refuses: ClassVar[dict[str, str]] = {}
    """The model types that it cannot train, each with the reason and the way on."""

    def check(self) -> None:
        """Raise UserError when something that the training needs cannot be had; takes no time."""

    @abstractmethod
    def check_examples(self, splits: Splits) -> None:
        """Raise UserError when the training examples are not what is asked for."""

    @abstractmethod
    def train(self, job: Job) -> "tuple[PreTrainedModel, list[dict[str, Any]]]":
        """Train job.model; return it, and the training curve: a dict of step, loss, ... a row."""

    @abstractmethod
    def examples_used(self, examples: Examples) -> int:
        """How many of the task's training examples are trained on."""

    @abstractmethod
    def precision_on(self, device: Device) -> str:
        """The type of the matrix products in training on this device (resolved)."""

    def write(self, job: Job, folder: Path) -> None:
        """Train, and write the checkpoint: model, tokenizer, and the training curve."""
        model, curve = self.train(job)
        model.save_pretrained(folder)
        if job.tokenizer is not None:
            job.tokenizer.save_pretrained(folder)
        (folder / LOG_FILE).write_text(json.dumps(curve, indent=1) + "\n")


class NoFinetune(Finetune):
    """Use the weights as they come: for a checkpoint that is fine-tuned already, or random weights."""

    trains: ClassVar[bool] = False

    def check_examples(self, splits: Splits) -> None:
        return

    def train(self, job: Job) -> "tuple[PreTrainedModel, list[dict[str, Any]]]":
        return job.model, []

    def examples_used(self, examples: Examples) -> int:
        return 0

    def precision_on(self, device: Device) -> str:
        return "none"


def read_curve(folder: Path) -> list[dict[str, Any]]:
    """The training curve of a checkpoint folder that `Finetune.write` wrote."""
    curve: list[dict[str, Any]] = json.loads((folder / LOG_FILE).read_text())
    return curve
