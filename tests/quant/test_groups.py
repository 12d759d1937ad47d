"""Codes in groups: the nearest of the grid, with and without a zero point."""

import pytest
import torch

from effcomp.quant.grid import Grid
from effcomp.quant.grouped_tensors import packed_tensors
from effcomp.quant.groups import quantize_groups


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("zero_point", [False, True])
@pytest.mark.parametrize("shift", [0.0, 3.0, -3.0])
def test_the_rounding_error_is_at_most_half_a_step(bits: int, zero_point: bool, shift: float) -> None:
    torch.manual_seed(0)
    grid, weight = Grid(32, bits, zero_point), torch.randn(24, 100) + shift
    coded = quantize_groups(weight, grid)
    assert coded.codes.min() >= grid.lowest
    assert coded.codes.max() <= grid.highest
    step = coded.scale.repeat_interleave(32, dim=1)[:, :100]
    reached = 1.0 if zero_point else 0.5  # the ends of the range move by up to half a step with the zero point
    assert ((coded.weight(100) - weight).abs() <= step * reached * (1 + 1e-5)).all()
    assert not coded.weight(128)[:, 100:].any(), "the inputs after the last stand for zeros"


def test_a_zero_point_pays_where_weights_lie_to_one_side() -> None:
    torch.manual_seed(1)
    weight = torch.rand(24, 64)
    error = [(quantize_groups(weight, Grid(32, 3, one)).weight(64) - weight).square().mean() for one in (True, False)]
    assert error[0] < 0.3 * error[1]


@pytest.mark.parametrize("zero_point", [False, True])
def test_zeros_come_back(zero_point: bool) -> None:
    assert not quantize_groups(torch.zeros(4, 32), Grid(32, 2, zero_point)).weight(32).any()


@pytest.mark.parametrize("columns", [64, 50, 7])
@pytest.mark.parametrize("grid", [Grid(32, 4), Grid(16, 2, zero_point=True), Grid(32, 3, zero_point=True), Grid(64, 8)])
def test_the_bytes_of_a_weight_are_those_of_its_tensors(grid: Grid, columns: int) -> None:
    tensors = packed_tensors("", quantize_groups(torch.randn(6, columns), grid), grid)
    assert grid.stored_bytes(6, columns) == sum(tensor.nbytes for tensor in tensors.values())
