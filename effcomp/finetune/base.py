"""Base class of fine-tuning methods."""

import json
from abc import abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from effcomp.core.component import Component
from effcomp.core.device import Device
from effcomp.core.errors import Diverged, Skipped, UserError
from effcomp.models.base import Model
from effcomp.models.costs import Costs
from effcomp.models.heads import Head
from effcomp.tasks.base import Examples, Splits

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

LOG_FILE = "training.json"
TrainingCurve = list[dict[str, Any]]
"""Rows of step, loss, ... of a training."""
TrainingRow = dict[str, Any]
"""Columns of a training example or block of text: input_ids, labels, ..."""


@dataclass(frozen=True, kw_only=True)
class TrainingSetup:
    """Model, examples and device of a training, or of a pruning that it may follow."""

    model: "PreTrainedModel"
    head: Head
    tokenizer: "PreTrainedTokenizerBase | None"
    """Tokenizer of the model; None for an architecture alone, which is not trained."""
    examples: Examples
    max_length: int
    device: Device
    seed: int
    scratch: Path
    """Folder of training's own checkpoints; an interrupted training resumes from them."""
    masks: "dict[str, Tensor]" = field(default_factory=dict)
    """Pruned weights by name: bool, False where the weight is zero and stays so."""
    callbacks: "tuple[TrainerCallback, ...]" = ()
    """Callbacks of the Trainer that belong to this training."""
    default_names: tuple[str, ...] = ()
    """Splits.default_names of the examples."""
    costs: Costs | None = None
    """Measured costs of the shapes of layers, for a pruning whose target they decide; None for any other."""


class Finetune(Component):
    """Base class of fine-tuning methods. To add one: a subclass, conf/finetune/<name>.yaml, a test."""

    trains: ClassVar[bool] = True
    refuses: ClassVar[dict[str, str]] = {}
    """Model types that the method cannot train, each with the reason and the fix."""
    bytes_per_parameter: ClassVar[float] = 4
    """Bytes on the GPU that training needs at least, per parameter of the model."""
    keeps_zeros: ClassVar[bool] = True
    """True for a method that keeps the zeros of TrainingSetup.masks."""

    def check(self) -> None:
        """Raise UserError when something that the training needs is missing; takes no time."""

    def check_recovery(self) -> None:
        """Raise UserError as `check` does, for a recovery after pruning; its teacher is the model before pruning."""
        self.check()

    def check_model(self, model: Model) -> None:
        """Raise UserError when it cannot train this model; takes no time."""
        if (reason := self.refuses.get(model.model_type or "")) is not None:
            raise Skipped(f"finetune={self.name} does not train model={model.name}: {reason}")

    def check_device(self, device: Device) -> None:
        """Raise UserError when it cannot train on this device (resolved)."""
        if self.trains and device.kind == "cuda" and device.index > 0:
            raise UserError(
                f"device.index={device.index}: training takes the first GPU; use CUDA_VISIBLE_DEVICES={device.index}"
            )

    def taught_by(self, folder: Path) -> "Finetune":
        """Return the method with the model of this folder as its teacher, where one is needed and none is named."""
        return self

    @abstractmethod
    def check_task(self, splits: Splits, head: Head, max_length: int) -> None:
        """Raise UserError when the training examples do not fit the settings, or a teacher cannot answer them.

        Args:
            max_length: tokens of the longest text.
        """

    def check_student(
        self,
        config: "PretrainedConfig",
        tokenizer: "PreTrainedTokenizerBase | None",
        dense: "tuple[PretrainedConfig, PreTrainedTokenizerBase | None] | None" = None,
    ) -> None:
        """Raise UserError when a teacher cannot teach a model of this architecture that reads these tokens.

        Args:
            dense: the model before pruning, the teacher of a recovery that names none.
        """

    def check_vocabulary(self, tokenizer: "PreTrainedTokenizerBase | None") -> None:
        """Raise UserError when it cannot train a language model that reads these tokens."""

    @abstractmethod
    def train(self, setup: TrainingSetup) -> "tuple[PreTrainedModel, TrainingCurve]":
        """Train setup.model; return it, and the training curve."""

    @abstractmethod
    def examples_used(self, examples: Examples) -> int:
        """Return the number of the task's training examples that are trained on."""

    @abstractmethod
    def precision_on(self, device: Device) -> str:
        """Return the dtype of the matrix products in training on this device (resolved)."""

    def write(self, setup: TrainingSetup, folder: Path) -> None:
        """Train, and write the checkpoint: model, tokenizer, and the training curve."""
        model, curve = self.train(setup)
        write_checkpoint(model, setup.tokenizer, curve, folder)


class NoFinetune(Finetune):
    """Weights without fine-tuning: for a checkpoint that is fine-tuned already, or random weights."""

    id: ClassVar[str] = "finetune/none"
    trains: ClassVar[bool] = False
    epochs: float | None = None
    """Setting of the other choices: finetune=none,full finetune.epochs=1 is a product of choices."""
    batch_size: int | None = None
    """Setting of the other choices, likewise."""
    learning_rate: float | None = None
    """Setting of the other choices, likewise."""
    train_samples: int | None = None
    """Setting of the other choices, likewise."""

    def check(self) -> None:
        for setting, value in self:
            if setting != "name" and value is not None:
                raise UserError(f"finetune.{setting}={value}: finetune=none trains nothing; choose finetune=full, say")

    def check_task(self, splits: Splits, head: Head, max_length: int) -> None:
        return

    def train(self, setup: TrainingSetup) -> "tuple[PreTrainedModel, TrainingCurve]":
        return setup.model, []

    def examples_used(self, examples: Examples) -> int:
        return 0

    def precision_on(self, device: Device) -> str:
        return "none"


def write_checkpoint(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase | None", curve: TrainingCurve, folder: Path
) -> None:
    """Write a folder as save_pretrained does, with the training curve.

    Raises:
        Diverged: a weight holds NaN or infinity: such a model can neither be compressed nor compared.
    """
    import torch

    for name, weight in model.state_dict().items():
        if not torch.isfinite(weight).all():
            reason = f"the training diverged: {name} holds NaN or infinity"
            raise Diverged(f"{reason}; give a smaller finetune.learning_rate")
    model.save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    (folder / LOG_FILE).write_text(json.dumps(curve, indent=1) + "\n")


def read_curve(folder: Path) -> TrainingCurve:
    """Read the training curve of a folder that `write_checkpoint` wrote."""
    curve: TrainingCurve = json.loads((folder / LOG_FILE).read_text())
    return curve
