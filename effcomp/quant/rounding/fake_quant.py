"""Fake quantization: layers that compute with rounded weights and activations over float masters, to train them.

The gradient passes each rounding unchanged (straight-through estimator; Bengio et al. 2013, "Estimating or Propagating
Gradients Through Stochastic Neurons for Conditional Computation", section 4), so it reaches the masters. Imported where
a model is trained: it needs PyTorch.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from effcomp.models.bitnet import int8_activations, passed, ternary
from effcomp.quant.grid import Granularity, Grid
from effcomp.quant.groups import full_range, in_groups, stored_scale
from effcomp.quant.int8_linear import dequantize, full_scale, nearest_codes
from effcomp.quant.rounding.ranges import best_range
from effcomp.quant.tensors import nonzero_scale

CALL_STEPS = 127
"""Steps of the activations of a call in PyTorch's dynamic int8 layer: 7 bits, so that sums fit in 16."""


def passed_steps(wanted: Tensor, zero_point: Tensor, grid: Grid) -> Tensor:
    """Return codes minus zero point, with the gradient of the steps that are wanted; none where the grid ends.

    Args:
        wanted: (out, groups, group_size), weights over their scales.
        zero_point: (out, groups).
    """
    zero = zero_point[..., None].float()
    return passed(wanted, wanted.detach().round()).clamp(grid.lowest - zero, grid.highest - zero)


def int8_by_token(values: Tensor) -> Tensor:
    """Round (..., features) to int8 with a scale for each token."""
    return passed(values, int8_activations(values))


def int8_by_call(values: Tensor) -> Tensor:
    """Round values to one scale and zero point, as PyTorch's dynamic int8 layer does in each call."""
    exact = values.detach().float()
    low, high = exact.amin().clamp(max=0), exact.amax().clamp(min=0)
    scale = nonzero_scale((high - low) / CALL_STEPS)
    zero_point = (-low / scale).round()
    steps = ((exact / scale).round() + zero_point).clamp(0, CALL_STEPS)
    return passed(values, ((steps - zero_point) * scale).to(values.dtype))


class FakeQuant(nn.Module, ABC):
    """Base class of what a format rounds in one layer; the results have a gradient."""

    def __init__(self, activations: Callable[[Tensor], Tensor] | None = None) -> None:
        """Take the function that rounds the layer's inputs; None: they stay float."""
        super().__init__()
        self.activations = activations

    @abstractmethod
    def weight(self, rows: Tensor, whole: Tensor) -> Tensor:
        """Return rows of a weight as the format stores them.

        Args:
            rows: (rows, in) float32, rows of `whole`.
            whole: (out, in), the weight.
        """


class FakeGroups(FakeQuant):
    """Weights in groups of inputs; the range of each group is its full range, or a share of it."""

    share: Tensor | None

    def __init__(self, grid: Grid, share: Tensor | None = None) -> None:
        """Take the share (out, groups), in (0, 1], of each group's range; None: the full range, for rows of a table."""
        super().__init__()
        self.grid = grid
        self.register_buffer("share", share)

    def weight(self, rows: Tensor, whole: Tensor) -> Tensor:
        groups = in_groups(rows, self.grid.group_size)
        ranges = groups.detach() if self.share is None else groups.detach() * self.share[..., None]
        scale, zero_point = full_range(ranges, self.grid)
        steps = passed_steps(groups / scale[..., None], zero_point, self.grid)
        weight: Tensor = (steps * stored_scale(scale)[..., None]).flatten(1)[:, : rows.shape[1]]
        return weight


def clipped(weight: Tensor, grid: Grid) -> FakeGroups:
    """Return groups whose ranges are clipped for a small squared error of this weight (out, in). Outermost codes are
    reached all the same, so the full range of the rounded weights gives the same codes again."""
    weight = weight.detach()
    widest, _ = full_range(in_groups(weight, grid.group_size), grid)
    scale, _ = best_range(weight, torch.ones_like(weight[0]), grid)
    return FakeGroups(grid, (scale / widest).clamp(max=1))


class FakeInt8(FakeQuant):
    """Symmetric int8 weights (effcomp.quant.int8_linear)."""

    def __init__(self, granularity: Granularity, activations: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__(activations)
        self.granularity = granularity

    def weight(self, rows: Tensor, whole: Tensor) -> Tensor:
        exact = rows.detach()
        scale = full_scale(whole.detach() if self.granularity == "per_tensor" else exact, self.granularity)
        return passed(rows, dequantize(nearest_codes(exact, scale), scale))


class FakeTernary(FakeQuant):
    """Weights -s, 0 or s with one s (effcomp.models.bitnet)."""

    def weight(self, rows: Tensor, whole: Tensor) -> Tensor:
        return passed(rows, ternary(rows))


class FakeQuantLinear(nn.Linear):
    """Linear layer over float masters; its parameters have nn.Linear's names and shapes."""

    rounding: FakeQuant

    def forward(self, input: Tensor) -> Tensor:
        activations = self.rounding.activations
        values = input if activations is None else activations(input)
        return linear(values, self.rounding.weight(self.weight, self.weight), self.bias)


class FakeQuantTable(nn.Embedding):
    """Embedding table over float masters: the rows that are looked up are rounded. A subclass of nn.Embedding scales
    them, or shifts the positions, as it did."""

    rounding: FakeQuant

    def forward(self, *arguments: Any, **named: Any) -> Tensor:
        rows: Tensor = super().forward(*arguments, **named)
        return self.rounding.weight(rows.flatten(0, -2), self.weight).view_as(rows)


def begin(layer: nn.Module, rounding: FakeQuant) -> None:
    """Let a linear layer or an embedding table compute with rounded values, in place."""
    if isinstance(layer, nn.Linear):
        layer.__class__ = FakeQuantLinear
    else:
        plain = type(layer) is nn.Embedding
        layer.__class__ = FakeQuantTable if plain else type("FakeQuantTable", (type(layer), FakeQuantTable), {})
    layer.rounding = rounding


@torch.no_grad()
def finish(model: nn.Module) -> None:
    """Undo `begin` in all layers of a model; their weights become the rounded ones, in place."""
    done: set[int] = set()
    for layer in model.modules():
        if not isinstance(layer, FakeQuantLinear | FakeQuantTable):
            continue
        if id(layer.weight) not in done:  # tied ones are rounded once
            done.add(id(layer.weight))
            layer.weight.copy_(layer.rounding.weight(layer.weight, layer.weight))
        del layer.rounding
        layer.__class__ = type(layer).__bases__[0]
