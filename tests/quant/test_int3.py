"""3-bit codes: how they are packed, and that a model comes back from them."""

import pytest
import torch

from effcomp.quant.few_bits import decode, encode
from effcomp.quant.grid import Grid
from effcomp.quant.groups import quantize_groups
from effcomp.quant.int3 import Int3
from effcomp.quant.packed import pack, unpack

torch.manual_seed(0)


@pytest.mark.parametrize("columns", [64, 32, 7])
def test_eight_codes_lie_in_three_bytes(columns: int) -> None:
    codes = torch.randint(-4, 4, (5, columns), dtype=torch.int8)
    stored = pack(codes, 3)
    assert stored.nbytes == 5 * -(-columns * 3 // 8)
    assert torch.equal(unpack(stored, columns, 3), codes)


@pytest.mark.parametrize("inputs", [64, 100])
def test_a_layer_comes_back_within_half_a_step(inputs: int) -> None:
    quant = Int3(name="int3", group_size=32)
    model = torch.nn.Sequential(torch.nn.Linear(inputs, 24))
    skeleton = torch.nn.Sequential(torch.nn.Linear(inputs, 24, device="meta"))
    decoded = decode(quant, skeleton, encode(quant, model))
    _, scale, _ = quantize_groups(model[0].weight.detach(), Grid(32, 3))
    step = scale.repeat_interleave(32, dim=1)[:, :inputs]
    error = (decoded[0].weight.float() - model[0].weight).abs()
    assert (error <= step * 0.51 + 4 * step * 2**-8).all(), "half a step, and what bfloat16 rounds off"
