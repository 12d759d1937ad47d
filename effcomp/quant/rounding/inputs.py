"""Second moments of the inputs of linear layers on calibration examples.

Imported where a model is encoded: it needs PyTorch.
"""

from collections.abc import Iterator, Sequence

from transformers import PreTrainedModel

from effcomp.core.batches import Batch
from effcomp.core.errors import UserError
from effcomp.models.moments import Moments, not_finite, summed
from effcomp.models.walk import Walk, by_block
from effcomp.quant.tensors import body_layers


def moments_by_block(model: PreTrainedModel, samples: Sequence[Batch]) -> Iterator[Moments]:
    """Yield the moments of each transformer layer's linear layers in turn, then of those outside; without the head. See
    effcomp.models.walk.by_block."""
    return by_block(Walk(model, samples), body_layers(model), summed)


def check_finite(moments: Moments, rounding: str) -> None:
    """Raise UserError where the inputs of a layer are not finite."""
    if (name := not_finite(moments)) is not None:
        reason = f"{name}: its inputs hold NaN or infinity on the calibration examples"
        raise UserError(f"quant.rounding={rounding}: {reason}; try quant.rounding=hqq")
