"""A pruner takes a trained model and removes weights from it."""

from abc import abstractmethod
from typing import TYPE_CHECKING

from effcomp.part import Part

if TYPE_CHECKING:
    from torch import nn


class Prune(Part):
    """Which weights to remove. To add one: a subclass, conf/prune/<name>.yaml, a test."""

    @abstractmethod
    def apply(self, model: "nn.Module") -> None:
        """Remove weights from the model, in place."""


class NoPrune(Prune):
    """Keep every weight."""

    def apply(self, model: "nn.Module") -> None:
        return
