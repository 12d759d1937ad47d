"""2-bit integer weights in groups: 4 values, so that the rounding method decides what is left of a model."""

from typing import TYPE_CHECKING, ClassVar, Literal

from effcomp.quant.few_bits import dequantized, encode
from effcomp.quant.grouped import Grouped
from effcomp.quant.lowering import TensorLowering, lowers

if TYPE_CHECKING:
    from torch import Tensor, nn

TOLERANCE = 2.0


class Int2(Grouped):
    """2-bit weights with a scale and a zero point for every group of inputs; linear layers without the head.

    Without a zero point three of the four values are used: -s, 0 and s. Rounded to nearest they destroy most models;
    use quant.rounding=learned or gptq.

    torch, compile   dequantized to bfloat16 at load, as int3
    cuda_graphs      packed in memory; a compiled kernel dequantizes to bfloat16 in each call
    """

    id: ClassVar[str] = "quant/int2"
    bits: ClassVar[int] = 2
    group_size: Literal[16, 32, 64]
    """Inputs of a row that share a scale; fewer are more precise and take more bytes."""


def decode_fused(quant: Int2, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    from effcomp.quant.fused_linear import placed_groups

    return placed_groups(skeleton, tensors, quant.group_size)


@lowers(Int2, "torch", "compile")
def to_torch(quant: Int2) -> TensorLowering:
    return dequantized(quant, TOLERANCE)


@lowers(Int2, "cuda_graphs")
def to_cuda_graphs(quant: Int2) -> TensorLowering:
    return TensorLowering(
        applies_to=quant.coded, compute_dtype="bfloat16", tolerance=TOLERANCE, encode=encode, decode=decode_fused
    )
