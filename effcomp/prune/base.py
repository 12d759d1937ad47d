"""Base classes of pruning methods: weights are removed from a trained model in steps, with training in between."""

import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from effcomp.core.component import Component
from effcomp.core.device import Device
from effcomp.core.errors import Skipped, UserError
from effcomp.finetune.base import Finetune, TrainingCurve, TrainingSetup, write_checkpoint
from effcomp.models.base import Model
from effcomp.models.blocks import ARCHITECTURES
from effcomp.models.costs import Costs
from effcomp.models.heads import Head
from effcomp.tasks.base import Examples, Splits

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


class Prune(Component):
    """Base class of pruning methods. To add one: a subclass of Pruner, conf/prune/<name>.yaml, a test."""

    remaps_tokens: ClassVar[bool] = False
    """True for a method that gives the model another tokenizer."""

    @property
    def trains(self) -> bool:
        return False

    @property
    def reshapes(self) -> bool:
        """Tell whether the layers of the pruned model may differ in shape."""
        return False

    @property
    def measures(self) -> str | None:
        """Return the quantity whose cost by the shapes of layers is measured on the run's runtime before any training;
        None for none."""
        return None

    def config_after(self, config: "PretrainedConfig") -> "PretrainedConfig":
        """Return the config of the pruned model as far as it is known before, from that of the model."""
        return config

    def remapped(
        self, tokenizer: "PreTrainedTokenizerBase | None", train: Examples
    ) -> "PreTrainedTokenizerBase | None":
        """Return the tokenizer of the pruned model.

        Args:
            tokenizer: that of the model before; None for an architecture alone.
            train: the training examples.

        Raises:
            UserError: the method changes the tokenizer, and cannot change this one.
        """
        return tokenizer

    def check(self, model: Model) -> None:
        """Raise UserError when the settings cannot work with this choice of model; takes no time."""

    def check_trained(self, model: Model, instead: str) -> None:
        """Raise Skipped for random weights, whose importance means nothing. instead: a choice that takes them."""
        if model.weights == "random":
            raise Skipped(f"prune={self.name} needs a trained model; with model.weights=random use prune={instead}")

    def check_architecture(self, config: "PretrainedConfig", instead: str = "") -> None:
        """Raise Skipped for an architecture that effcomp.models.blocks does not know. instead: what to do, in words."""
        if config.model_type not in ARCHITECTURES:
            known = ", ".join(ARCHITECTURES)
            reason = f"prune={self.name} does not know the architecture {config.model_type}; it knows: {known}"
            raise Skipped(f"{reason}{instead}")

    def check_device(self, device: Device) -> None:
        """Raise UserError when the recovery cannot train on this device (resolved)."""

    def check_config(self, config: "PretrainedConfig") -> None:
        """Raise UserError when a model of this architecture cannot be pruned so; takes no time.

        Args:
            config: that of the model, with the number of tokens that pruning leaves.
        """

    def check_costs(self, config: "PretrainedConfig", costs: Costs) -> None:
        """Raise UserError when no shapes of the layers cost as little as the target asks for, in its quantity."""

    def check_task(self, splits: Splits, head: Head, max_length: int) -> None:
        """Raise UserError when the training examples are not what the recovery asks for."""

    def check_vocabulary(self, tokenizer: "PreTrainedTokenizerBase | None") -> None:
        """Raise UserError when the recovery cannot train a language model that reads these tokens."""


class NoPrune(Prune):
    """Model without pruning: every weight is kept."""

    id: ClassVar[str] = "prune/none"
    ratio: float | None = None
    """Setting of the other choices: prune=none,structured prune.ratio=0.3,0.5 is a product of choices."""

    def check(self, model: Model) -> None:
        if self.ratio is not None:
            raise UserError(f"prune.ratio={self.ratio}: prune=none keeps every weight; choose prune=structured, say")


class PruneAndRecover(Prune):
    """Base class of pruning that fine-tuning may follow."""

    recovery: Finetune
    """Fine-tuning after each step, to restore the accuracy; pruned weights stay pruned. `distill` without a teacher
    learns from the model before pruning."""

    @property
    def trains(self) -> bool:
        return self.recovery.trains

    def check(self, model: Model) -> None:
        if not self.recovery.trains:
            return
        if model.weights == "random":
            raise UserError(
                f"finetune@prune.recovery={self.recovery.name} has nothing to recover with model.weights=random; "
                "use finetune@prune.recovery=none"
            )
        with as_recovery():
            self.recovery.check_recovery()
            self.recovery.check_model(model)

    def check_device(self, device: Device) -> None:
        with as_recovery():
            self.recovery.check_device(device)

    def check_task(self, splits: Splits, head: Head, max_length: int) -> None:
        with as_recovery():
            self.recovery.check_task(splits, head, max_length)

    def check_vocabulary(self, tokenizer: "PreTrainedTokenizerBase | None") -> None:
        with as_recovery():
            self.recovery.check_vocabulary(tokenizer)

    def precision_on(self, device: Device) -> str:
        """Return the dtype of the matrix products in the recovery on this device (resolved)."""
        return self.recovery.precision_on(device)

    @abstractmethod
    def prune(self, setup: TrainingSetup, dense: Path) -> tuple[TrainingSetup, TrainingCurve, float]:
        """Prune setup.model and recover it.

        Args:
            dense: folder of the model before pruning, the teacher of a distilling recovery.

        Returns:
            The setup of the pruned model and its tokenizer, the training curve, and the time of the recovery in
            seconds.
        """

    def recover(self, setup: TrainingSetup, dense: Path) -> tuple[TrainingSetup, TrainingCurve, float]:
        """Train setup.model, where there is a recovery; return as `prune` does."""
        if not self.recovery.trains:
            return setup, [], 0.0
        start = time.perf_counter()
        with as_recovery():
            model, curve = self.recovery.taught_by(dense).train(setup)
        return replace(setup, model=model), curve, time.perf_counter() - start

    def write(self, setup: TrainingSetup, dense: Path, folder: Path) -> float:
        """Write the pruned checkpoint; return the time of the recovery in seconds (`prune`)."""
        pruned, curve, seconds = self.prune(setup, dense)
        with as_recovery():
            write_checkpoint(pruned.model, pruned.tokenizer, curve, folder)
        return seconds


class Pruner(PruneAndRecover):
    """Base class of methods that remove weights in steps, each followed by the recovery."""

    @property
    def ratios(self) -> list[float]:
        """Return the share that is removed after each step; a single step removes all."""
        return [1.0]

    @abstractmethod
    def apply(self, setup: TrainingSetup, ratio: float) -> None:
        """Remove weights from setup.model, in place, until this share of them is removed."""

    def masks(self, model: "PreTrainedModel") -> "dict[str, Tensor]":
        """Return the masks of the weights that must keep their zeros in training, by name: bool, False where the zeros
        are; none for a method that removes weights by their shapes."""
        return {}

    def prune(self, setup: TrainingSetup, dense: Path) -> tuple[TrainingSetup, TrainingCurve, float]:
        curve, seconds = TrainingCurve(), 0.0
        for number, ratio in enumerate(self.ratios, start=1):
            step = replace(setup, scratch=setup.scratch / str(number))
            self.apply(step, ratio)
            recovered, rows, took = self.recover(replace(step, masks=self.masks(step.model)), dense)
            setup, seconds = replace(setup, model=recovered.model), seconds + took
            curve = joined(curve, [{**row, "prune_step": number} for row in rows])
        return setup, curve, seconds


class GradualPruner(Pruner):
    """Pruner in the steps of Zhu and Gupta (2017, "To prune, or not to prune", section 3): many weights are removed
    first, few at the end.

    After step i of n the share ratio * (1 - (1 - i / n)^3) is removed.
    """

    ratio: Annotated[float, Field(ge=0, lt=1)]
    """Share that is removed at the end."""
    steps: Annotated[int, Field(ge=1)]
    """Number of steps; 1: all at once. The whole recovery, with all its epochs, follows each step."""

    @property
    def ratios(self) -> list[float]:
        return [self.ratio * (1 - (1 - i / self.steps) ** 3) for i in range(1, self.steps + 1)]


def joined(curve: TrainingCurve, later: TrainingCurve) -> TrainingCurve:
    """Return the curve of two trainings, one after the other; the steps are counted on."""
    trained = curve[-1]["step"] if curve else 0
    return curve + [{**row, "step": trained + row["step"]} for row in later]


@contextmanager
def as_recovery() -> Iterator[None]:
    """Reword a refusal of the recovery's fine-tuning with the setting names of a recovery."""
    try:
        yield
    except UserError as error:
        words = str(error).replace("finetune=", "finetune@prune.recovery=").replace("finetune.", "prune.recovery.")
        raise type(error)(words) from error


@contextmanager
def as_nested() -> Iterator[None]:
    """Reword a refusal of the pruning that follows another (`prune.then`) with its setting names."""
    try:
        yield
    except UserError as error:
        words = str(error).replace("prune.", "prune.then.").replace("prune=", "prune@prune.then=")
        raise type(error)(words) from error
