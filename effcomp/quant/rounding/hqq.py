"""Half-quadratic quantization (Badri and Shaji 2023, "Half-Quadratic Quantization of Large Machine Learning Models").

Imported where a model is encoded: it needs PyTorch.
"""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from effcomp.core.batches import Batch
from effcomp.quant.groups import in_groups, quantize_groups, replace_layer, round_to
from effcomp.quant.tensors import HEAD_MODULES, linear_layers, nonzero_scale

POWER, BETA = 0.7, 10.0
"""p of the error, and the published first beta."""
STARTS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""First scales of a group, as shares of that of its largest weight."""
STEPS = 4
"""Steps from each start: beta, which the paper raises by 1 % a step for 20 steps, stays as it is."""


def fit_scale(weight: Tensor, group_size: int, largest_code: int) -> tuple[Tensor, Tensor]:
    """Return codes (out, groups * group_size) int8 and scale (out, groups) with a small sum of |error|^0.7.

    The problem is split in two, solved in turn: outliers of the error by soft thresholding, and the scale by least
    squares on the weights without them. The paper fits a zero point at a fixed scale; these codes have no zero point,
    so the scale is fitted, from several starts. Errors are in units of the first scale, so that beta suits weights of
    any magnitude. Each group keeps the scale with the smallest error, round-to-nearest's among them.

    Args:
        weight: (out, in), finite.
    """
    groups = in_groups(weight, group_size)
    _, widest = quantize_groups(weight, group_size, largest_code)
    units = groups / widest[..., None]
    best, lowest = stored(widest), torch.full_like(widest, torch.inf)
    for start in STARTS:
        scale = stored(widest * start)
        for _ in range(STEPS + 1):
            found, following = step(units, scale / widest, largest_code)
            best, lowest = scale.where(found < lowest, best), lowest.minimum(found)
            scale = stored(following * widest)
    return round_to(groups, best, largest_code).flatten(1), best


def stored(scale: Tensor) -> Tensor:
    """Return the scale that an artifact will hold: bfloat16, not zero."""
    return nonzero_scale(scale.bfloat16().float())


def step(groups: Tensor, scale: Tensor, largest_code: int) -> tuple[Tensor, Tensor]:
    """Return the error of each group at these scales (out, groups), and the scales of the next step."""
    codes = torch.round(groups / scale[..., None]).clamp_(-largest_code, largest_code)
    error = groups - codes * scale[..., None]
    magnitude = error.abs()
    slope = magnitude.clamp(min=1e-8).pow(POWER - 1)
    outliers = error.sign() * (magnitude - slope / BETA).clamp_(min=0)
    following = ((groups - outliers) * codes).sum(-1) / codes.square().sum(-1).clamp(min=1)
    return (magnitude * slope).sum(-1), following.abs()


def round_hqq(model: PreTrainedModel, group_size: int, largest_code: int, samples: list[Batch]) -> None:
    """Replace each linear layer but the head's by a RoundedLinear; reads no samples."""
    for name, layer in linear_layers(model, skip=HEAD_MODULES).items():
        replace_layer(model, layer, name, *fit_scale(layer.weight.detach(), group_size, largest_code))
