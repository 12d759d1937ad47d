"""Codes that are packed as GPTQ, AWQ and compressed-tensors publish their layouts are read back exactly."""

from typing import Any

import pytest
import torch
from torch import Tensor

from effcomp.quant.groups import Coded
from effcomp.quant.word_layouts import LAYOUTS, in_groups, unpack_words
from tests.quant.packing import awq, compressed_tensors, gptq, random_layer

INPUTS, OUTPUTS, GROUP = 64, 32, 32
NEIGHBOURS = torch.arange(INPUTS) // GROUP
MIXED = NEIGHBOURS[torch.randperm(INPUTS, generator=torch.Generator().manual_seed(0))]
"""Groups as activation order leaves them."""


def read(method: str, parts: dict[str, Tensor], **quantization: Any) -> Tensor:
    layout = LAYOUTS[method]
    assert parts.keys() <= {layout.words, *layout.others}
    assert tuple(parts[layout.words].shape) in layout.shapes(OUTPUTS, INPUTS)
    return layout.read(parts, {"quant_method": method, **quantization}, INPUTS).weight()


def test_a_word_has_its_first_code_in_the_lowest_bits() -> None:
    assert unpack_words(torch.tensor([[0x76543210]], dtype=torch.int32), 4).tolist() == [[0, 1, 2, 3, 4, 5, 6, 7]]
    assert unpack_words(torch.tensor([[-1]], dtype=torch.int32), 8).tolist() == [[255] * 4]


@pytest.mark.parametrize(
    "group_of", [NEIGHBOURS, MIXED, torch.zeros(INPUTS, dtype=torch.int64)], ids=["neighbours", "mixed", "one"]
)
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_gptq(bits: int, group_of: Tensor) -> None:
    known = random_layer(bits, group_of, OUTPUTS)
    assert torch.equal(read("gptq", gptq(known, less=1)), known.weight)
    assert torch.equal(read("gptq", gptq(known, less=0), format="gptq_v2"), known.weight)


def test_awq() -> None:
    known = random_layer(4, NEIGHBOURS, OUTPUTS)
    assert torch.equal(read("awq", awq(known), version="GEMM"), known.weight)


@pytest.mark.parametrize("zeros", ["none", "packed", "int8"])
@pytest.mark.parametrize("bits", [4, 8])
def test_compressed_tensors(bits: int, zeros: str) -> None:
    known = random_layer(bits, NEIGHBOURS, OUTPUTS)
    if zeros == "none":
        known.zeros = torch.full_like(known.zeros, 2 ** (bits - 1))
    assert torch.equal(read("compressed-tensors", compressed_tensors(known, zeros=zeros)), known.weight)


def test_compressed_tensors_in_activation_order_and_with_one_scale_a_row() -> None:
    known = random_layer(4, MIXED, OUTPUTS)
    parts = compressed_tensors(known, zeros="packed") | {"weight_g_idx": MIXED.int()}
    assert torch.equal(read("compressed-tensors", parts), known.weight)
    known = random_layer(8, torch.zeros(INPUTS, dtype=torch.int64), OUTPUTS)
    assert torch.equal(read("compressed-tensors", compressed_tensors(known, zeros="int8")), known.weight)


def test_groups_of_different_sizes_are_refused() -> None:
    coded = Coded(torch.zeros(1, 4, dtype=torch.int8), torch.ones(1, 2), torch.zeros(1, 2, dtype=torch.int8))
    with pytest.raises(ValueError, match="groups of different sizes among 4 inputs"):
        in_groups(coded, 4, torch.tensor([0, 0, 0, 1]))
