"""Scales and zero points of groups of weights, searched for among shares of the full range.

Imported where a model is encoded: it needs PyTorch.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from effcomp.quant.grid import Grid
from effcomp.quant.groups import full_range, in_groups, round_to, stored_scale

SHARES = tuple(1 - 0.5 * step / 20 for step in range(20))
"""Ranges that are tried for a group: from its outermost weights down to half of them."""


def best_range(weight: Tensor, importance: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Return the scale and zero point with the smallest squared error of each group's weights.

    Args:
        weight: (out, in), finite.
        importance: (in,), weight of the error of each column.
    """
    by_input = in_groups(importance[None], grid.group_size)
    return searched(weight, grid, lambda error: (error.square() * by_input).sum(-1))


def searched(weight: Tensor, grid: Grid, loss_of: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Return the scale, exact in bfloat16, and the zero point of each group with the smallest loss.

    Args:
        loss_of: loss (out, groups) of an error of the weights (out, groups, group_size).
    """
    groups = in_groups(weight, grid.group_size)
    best, best_zero = full_range(groups, grid)
    lowest = torch.full_like(best, torch.inf)
    for share in SHARES:
        scale, zero_point = full_range(groups * share, grid)
        scale = stored_scale(scale)
        steps = round_to(groups, scale, zero_point, grid).float() - zero_point[..., None]
        loss = loss_of(groups - scale[..., None] * steps)
        better = loss < lowest
        best, best_zero, lowest = scale.where(better, best), zero_point.where(better, best_zero), lowest.minimum(loss)
    return best, best_zero
