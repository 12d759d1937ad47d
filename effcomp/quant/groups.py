"""Codes in groups of inputs, each group with a scale, and a zero point where the grid has one.

Imported where a model is encoded: it needs PyTorch.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from effcomp.quant.grid import Grid
from effcomp.quant.tensors import nonzero_scale


class Coded(NamedTuple):
    """Codes of a weight (out, in): w ≈ scale * (codes - zero_point)."""

    codes: Tensor
    """(out, groups * group_size) int8; inputs after the last one have the code of zero."""
    scale: Tensor
    """(out, groups), floating point."""
    zero_point: Tensor
    """(out, groups) int8; zeros for a symmetric grid."""

    def weight(self, columns: int) -> Tensor:
        """Return the (out, columns) weight in the scale's dtype."""
        dtype = self.scale.dtype
        steps = self.codes.to(dtype).unflatten(1, (self.scale.shape[1], -1)) - self.zero_point.to(dtype)[..., None]
        weight: Tensor = (steps * self.scale[..., None]).flatten(1)[:, :columns]
        return weight.contiguous()


def quantize_groups(weight: Tensor, grid: Grid) -> Coded:
    """Return the nearest codes of each row's groups of inputs; scale and zero point reach from the smallest to the
    largest weight of the group.

    Args:
        weight: (out, in), finite.

    Returns:
        codes and scale, the latter float32 (full_range); an all-zero group gets scale 1.
    """
    groups = in_groups(weight, grid.group_size)
    scale, zero_point = full_range(groups, grid)
    return round_groups(groups, scale, zero_point, grid)


def in_groups(weight: Tensor, group_size: int) -> Tensor:
    """Return (out, groups, group_size) float32, zeros after the last input."""
    groups: Tensor = pad(weight.float(), (0, -weight.shape[1] % group_size)).unflatten(1, (-1, group_size))
    return groups


def full_range(groups: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Return scale float32 and zero point int8, (out, groups), of codes that reach the outermost weights of each group;
    zero is always one of the values.

    Without a zero point the scale is the one that is stored, so that codes are the nearest to the weights there are: of
    8 bits, a code may else lie half a step off. With one it is not: codes would miss an end of their range, and the
    rounded weights have another range than these.
    """
    if not grid.zero_point:
        scale = stored_scale(groups.abs().amax(dim=-1) / grid.highest)
        return scale, torch.zeros_like(scale, dtype=torch.int8)
    low, high = groups.amin(dim=-1).clamp(max=0), groups.amax(dim=-1).clamp(min=0)
    scale = nonzero_scale(high / (grid.highest - grid.lowest) - low / (grid.highest - grid.lowest))
    zero_point = (grid.lowest - torch.round(low / scale)).clamp(grid.lowest, grid.highest)
    return scale, zero_point.to(torch.int8)


def stored_scale(scale: Tensor) -> Tensor:
    """Return the scale that an artifact will hold: bfloat16, not zero; in float32."""
    return nonzero_scale(scale.bfloat16().float())


def round_to(groups: Tensor, scale: Tensor, zero_point: Tensor, grid: Grid) -> Tensor:
    """Return the nearest codes of (..., group_size) weights at these scales and zero points (...), int8."""
    steps = torch.round(groups / scale[..., None]) + zero_point[..., None]
    return steps.clamp(grid.lowest, grid.highest).to(torch.int8)


def round_groups(groups: Tensor, scale: Tensor, zero_point: Tensor, grid: Grid) -> Coded:
    """Return the nearest codes of (out, groups, group_size) weights at these scales and zero points (out, groups)."""
    return Coded(round_to(groups, scale, zero_point, grid).flatten(1), scale, zero_point)


class RoundedLinear(nn.Linear):
    """A linear layer in float32 whose codes are chosen already; its weight is what they stand for."""

    codes: Tensor
    scale: Tensor
    zero_point: Tensor

    def __init__(self, layer: nn.Linear, coded: Coded, grid: Grid) -> None:
        """Take the layer's codes; their scale is rounded to bfloat16."""
        super().__init__(layer.in_features, layer.out_features, bias=False, device="meta")
        self.grid = grid
        for name, part in coded._replace(scale=coded.scale.bfloat16().float())._asdict().items():
            self.register_buffer(name, part, persistent=False)
        self.weight = nn.Parameter(self.coded.weight(layer.in_features), requires_grad=False)
        self.bias = layer.bias

    @property
    def coded(self) -> Coded:
        """Return the codes, on the device of the layer."""
        return Coded(self.codes, self.scale, self.zero_point)


def replace_layer(model: nn.Module, name: str, coded: Coded, grid: Grid) -> None:
    """Put a RoundedLinear in the place of the linear layer of this name."""
    layer = model.get_submodule(name)
    assert isinstance(layer, nn.Linear), f"{name} is a linear layer"
    model.set_submodule(name, RoundedLinear(layer, coded, grid).train(layer.training))
