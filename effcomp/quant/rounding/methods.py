"""Rounding methods by name.

Each is a function (model, group_size, largest_code, samples) that replaces the linear layers without the head by
RoundedLinear, in place. Imported where a model is encoded: it needs PyTorch.
"""

from collections.abc import Callable

from transformers import PreTrainedModel

from effcomp.core.batches import Batch
from effcomp.quant.rounding.gptq import round_gptq
from effcomp.quant.rounding.hqq import round_hqq

METHODS: dict[str, Callable[[PreTrainedModel, int, int, list[Batch]], None]] = {"hqq": round_hqq, "gptq": round_gptq}
