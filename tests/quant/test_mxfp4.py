"""MXFP4: the levels of the specification, the nearest of them, and a power of two for each block."""

import pytest
import torch
from hypothesis import given

from effcomp.quant.mxfp4 import BIAS, BLOCK, LEVELS, dequantize_mxfp4, quantize_mxfp4
from tests.quant.test_int8 import MATRICES


def back(weight: torch.Tensor) -> torch.Tensor:
    return dequantize_mxfp4(*quantize_mxfp4(weight), weight.shape[1])


def test_what_is_representable_comes_back_exactly() -> None:
    levels = torch.tensor([*LEVELS, *(-level for level in LEVELS)]).repeat(2)[None]
    for power in (2.0**-20, 1.0, 2.0**9):
        assert torch.equal(back(levels * power).float(), levels * power)


@pytest.mark.parametrize(
    ("weight", "nearest"), [(0.25, 0), (0.75, 1), (1.25, 1), (1.75, 2), (2.5, 2), (3.5, 4), (5, 4)]
)
def test_a_tie_goes_to_the_even_code(weight: float, nearest: float) -> None:
    row = torch.tensor([[6.0, weight, -weight]])
    assert back(row)[0].tolist() == [6.0, nearest, -nearest]


def test_the_first_code_lies_in_the_lower_bits_and_the_exponent_has_the_bias() -> None:
    codes, scale = quantize_mxfp4(torch.tensor([[-4.0, 3.0] + [0.0] * (BLOCK - 1)]))
    assert codes.shape == (1, BLOCK), "two blocks, two codes in a byte"
    assert codes[0, 0] == 0b0101_1110
    assert scale.tolist()[0][0] == BIAS, "4 is the largest power of two among the levels"


@given(MATRICES)
def test_a_weight_comes_back_within_half_a_step_or_as_the_largest_level(weight: torch.Tensor) -> None:
    _, scale = quantize_mxfp4(weight)
    power = (2.0 ** (scale.double() - BIAS)).repeat_interleave(BLOCK, dim=1)
    exact = weight.double() / power[:, : weight.shape[1]]
    error = (back(weight).double() / power[:, : weight.shape[1]] - exact).abs()
    step = 2.0 ** exact.abs().clamp(min=1).log2().floor() / 2
    assert ((error <= 0.5 * step + 1e-6) | (exact.abs() > LEVELS[-1])).all()
    assert (error[exact.abs() > LEVELS[-1]] <= 2).all()
