"""Packed codes come back, and take no more bytes than their bits."""

import pytest
import torch

from effcomp.quant.packed import pack, unpack


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("columns", [64, 32, 7, 1])
def test_what_is_packed_is_unpacked(bits: int, columns: int) -> None:
    torch.manual_seed(0)
    codes = torch.randint(-(2 ** (bits - 1)), 2 ** (bits - 1), (5, columns), dtype=torch.int8)
    stored = pack(codes, bits)
    assert stored.nbytes == 5 * -(-columns * bits // 8)
    assert torch.equal(unpack(stored, columns, bits), codes)


def test_the_first_of_two_codes_lies_in_the_low_half() -> None:
    assert pack(torch.tensor([[-8, 7]], dtype=torch.int8), 4).tolist() == [[0xF0]], "the kernels read it so"
