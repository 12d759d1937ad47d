"""A Run, which every stage begins with; pipeline/prepare makes it."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from effcomp.core.device import Device
from effcomp.core.store import Store
from effcomp.models.heads import Head
from effcomp.pipeline.compose import Components
from effcomp.prune.base import NoPrune
from effcomp.quant.floats import Float
from effcomp.runtimes.torch import Torch
from effcomp.tasks.base import Splits

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Run:
    """Configuration ready to be computed. Each stage is a function of a Run and of the previous stage's result."""

    components: Components
    store: Store
    device: Device
    """Device, resolved: not `auto`."""
    head: Head
    splits: Splits

    @cached_property
    def tokenizer(self) -> "PreTrainedTokenizerBase | None":
        """Tokenizer of the artifact: the model's own, or with fewer tokens; None for an architecture alone.

        Raises:
            UserError: pruning cannot take tokens from the model's own.
        """
        parts = self.components
        return parts.prune.remapped(parts.model.tokenizer(self.store), self.splits.train)

    def baseline(self) -> "Run":
        """Return the run of the float32 baseline: the same trained model, not pruned, in eager PyTorch."""
        parts = replace(
            self.components,
            prune=NoPrune(name="none"),
            quant=Float(name="none", dtype="float32"),
            runtime=Torch(name="torch"),
        )
        return replace(self, components=parts)
