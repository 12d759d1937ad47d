"""Magnitude pruning of single weights."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from effcomp.compress.prune.base import Prune
from effcomp.compress.quant.base import HEADS, linear_layers

if TYPE_CHECKING:
    from torch import nn


class L1Unstructured(Prune):
    """Set the weights of smallest magnitude to zero (Han et al. 2015, section 3.1), in every linear layer but the head.

    The matrices keep their shape: neither time nor memory falls on dense kernels, and the record says so.
    """

    ratio: Annotated[float, Field(ge=0, lt=1)]
    """The share of the weights of those layers that becomes zero."""
    scope: Literal["global", "layer"]
    """Rank all weights together, or those of each layer alone."""

    def apply(self, model: "nn.Module") -> None:
        from torch.nn.utils import prune

        layers = linear_layers(model, skip=HEADS).values()
        if self.scope == "global":
            prune.global_unstructured(
                [(layer, "weight") for layer in layers],
                pruning_method=prune.L1Unstructured,
                amount=self.ratio,
            )
        else:
            for layer in layers:
                prune.l1_unstructured(layer, "weight", amount=self.ratio)
        for layer in layers:
            prune.remove(layer, "weight")
