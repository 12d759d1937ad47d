"""Half-quadratic quantization (Badri and Shaji 2023, "Half-Quadratic Quantization of Large Machine Learning Models").

Imported where a model is encoded: it needs PyTorch.
"""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from effcomp.core.batches import Batch
from effcomp.quant.grid import Grid
from effcomp.quant.groups import Coded, full_range, in_groups, replace_layer, round_groups, round_to, stored_scale
from effcomp.quant.tensors import linear_layers

POWER, BETA = 0.7, 10.0
"""p of the error, and the published first beta."""
STARTS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""First scales of a group, as shares of that of its largest weight."""
STEPS = 4
"""Steps from each start: beta, which the paper raises by 1 % a step for 20 steps, stays as it is."""


def fit_codes(weight: Tensor, grid: Grid) -> Coded:
    """Return codes and scale with a small sum of |error|^0.7.

    The problem is split in two, solved in turn: outliers of the error by soft thresholding, and the scale by least
    squares on the weights without them. The paper fits a float zero point at a fixed scale; zero points of these codes
    are integers or absent, so the scale is fitted, from several starts, each with the zero point of its range. Errors
    are in units of the first scale, so that beta suits weights of any magnitude. Each group keeps the start and scale
    with the smallest error, round-to-nearest's among them.

    Args:
        weight: (out, in), finite.
    """
    groups = in_groups(weight, grid.group_size)
    widest, zero_point = full_range(groups, grid)
    units = groups / widest[..., None]
    best, lowest = stored_scale(widest), torch.full_like(widest, torch.inf)
    best_zero, (_, nearest, _) = zero_point, step(units, best / widest, zero_point, grid)
    for start in STARTS:
        scale, zero_point = full_range(groups * start, grid)
        scale = stored_scale(scale)
        for _ in range(STEPS + 1):
            found, squares, following = step(units, scale / widest, zero_point, grid)
            better = (found < lowest) & (squares <= nearest)
            best, best_zero, lowest = (
                scale.where(better, best),
                zero_point.where(better, best_zero),
                lowest.minimum(found),
            )
            scale = stored_scale(following * widest)
    return round_groups(groups, best, best_zero, grid)


def step(groups: Tensor, scale: Tensor, zero_point: Tensor, grid: Grid) -> tuple[Tensor, Tensor, Tensor]:
    """Return the error and the squared error of each group at these scales (out, groups), and the scales of the next
    step."""
    steps = round_to(groups, scale, zero_point, grid).float() - zero_point[..., None]
    error = groups - steps * scale[..., None]
    magnitude = error.abs()
    slope = magnitude.clamp(min=1e-8).pow(POWER - 1)
    outliers = error.sign() * (magnitude - slope / BETA).clamp_(min=0)
    following = ((groups - outliers) * steps).sum(-1) / steps.square().sum(-1).clamp(min=1)
    return (magnitude * slope).sum(-1), error.square().sum(-1), following.abs()


def round_hqq(model: PreTrainedModel, grids: dict[str, Grid], samples: list[Batch]) -> None:
    """Replace the linear layers of these names by RoundedLinear; reads no samples."""
    layers = linear_layers(model)
    for name, grid in grids.items():
        replace_layer(model, name, fit_codes(layers[name].weight.detach(), grid), grid)
