"""Ternary codes: BitNet's own, packed four to a byte, exact where the weights are ternary already."""

import pytest
import torch
from hypothesis import given

from effcomp.compress.quant.ternary import by_planes, packed, quantise_ternary, unpacked
from effcomp.models.bitnet import ternary
from tests.compress.quant.test_int8 import MATRICES

torch.manual_seed(0)


def test_the_codes_are_those_that_bitnet_trains_with() -> None:
    weight = torch.randn(32, 48)
    codes, scale = quantise_ternary(weight)
    assert set(codes.unique().tolist()) == {-1, 0, 1}
    assert torch.allclose(codes * scale, ternary(weight))


@pytest.mark.parametrize("sparsity", [0.1, 0.9])
def test_a_ternary_weight_comes_back_exactly(sparsity: float) -> None:
    signs = torch.where(torch.rand(16, 40) < sparsity, 0, torch.randint(0, 2, (16, 40)) * 2 - 1)
    codes, scale = quantise_ternary(signs * 0.37)
    assert torch.equal(codes * scale, signs * 0.37)


@given(MATRICES)
def test_what_was_made_ternary_stays_as_it_is_whatever_it_was(weight: torch.Tensor) -> None:
    codes, scale = quantise_ternary(weight)
    assert set(codes.unique().tolist()) <= {-1, 0, 1}
    assert scale.isfinite()
    assert scale > 0
    assert torch.equal(unpacked(packed(codes), weight.shape[1]), codes)
    again, same = quantise_ternary(codes * scale)
    assert torch.equal(again, codes)
    assert same == scale or not codes.any()


def test_zeros_stay_zeros() -> None:
    codes, scale = quantise_ternary(torch.zeros(4, 8))
    assert not codes.any()
    assert scale == 1


@pytest.mark.parametrize("inputs", [1, 7, 8, 64])
def test_four_codes_lie_in_a_byte(inputs: int) -> None:
    codes = torch.randint(-1, 2, (5, inputs), dtype=torch.int8)
    assert packed(codes).shape == (5, -(-inputs // 4))
    assert torch.equal(unpacked(packed(codes), inputs), codes)


def test_a_byte_of_planes_holds_one_code_of_each_quarter_of_its_row() -> None:
    codes = torch.randint(-1, 2, (3, 8), dtype=torch.int8)
    stored = by_planes(codes)
    assert stored.shape == (3, 2)
    for plane in range(4):
        assert torch.equal(((stored >> (2 * plane)) & 3).to(torch.int8) - 1, codes[:, 2 * plane : 2 * plane + 2])
