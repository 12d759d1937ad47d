"""Rounding methods by name.

Each is a function (model, grids, samples) that replaces the linear layers of these names by RoundedLinear, in place.
Imported where a model is encoded: it needs PyTorch.
"""

from collections.abc import Callable

from transformers import PreTrainedModel

from effcomp.core.batches import Batch
from effcomp.quant.grid import Grid
from effcomp.quant.rounding.awq import round_awq
from effcomp.quant.rounding.gptq import round_gptq
from effcomp.quant.rounding.hqq import round_hqq
from effcomp.quant.rounding.learned import round_learned

METHODS: dict[str, Callable[[PreTrainedModel, dict[str, Grid], list[Batch]], None]] = {
    "hqq": round_hqq,
    "gptq": round_gptq,
    "awq": round_awq,
    "learned": round_learned,
}
