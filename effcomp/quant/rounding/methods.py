"""Rounding methods by name.

Each is a function (model, grids, samples) that replaces the linear layers of these names by RoundedLinear, in place.
Imported where a model is encoded: it needs PyTorch.
"""

from collections.abc import Callable

from transformers import PreTrainedModel

from effcomp.core.batches import Batch
from effcomp.quant.grid import Grid
from effcomp.quant.groups import quantize_groups, replace_layer
from effcomp.quant.rounding.awq import round_awq
from effcomp.quant.rounding.gptq import round_gptq
from effcomp.quant.rounding.hqq import round_hqq
from effcomp.quant.rounding.learned import round_learned
from effcomp.quant.tensors import linear_layers


def round_nearest(model: PreTrainedModel, grids: dict[str, Grid], samples: list[Batch]) -> None:
    """Replace the linear layers of these names by RoundedLinear; reads no samples."""
    layers = linear_layers(model)
    for name, grid in grids.items():
        replace_layer(model, name, quantize_groups(layers[name].weight.detach(), grid), grid)


METHODS: dict[str, Callable[[PreTrainedModel, dict[str, Grid], list[Batch]], None]] = {
    "nearest": round_nearest,
    "hqq": round_hqq,
    "gptq": round_gptq,
    "awq": round_awq,
    "learned": round_learned,
}
