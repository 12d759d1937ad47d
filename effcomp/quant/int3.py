"""3-bit integer weights in groups, to see how few bits a model bears: no kernel is fast with them."""

from typing import ClassVar, Literal

from effcomp.quant.few_bits import dequantized
from effcomp.quant.grouped import Grouped
from effcomp.quant.lowering import TensorLowering, lowers


class Int3(Grouped):
    """3-bit weights with a scale for every group of inputs; linear layers without the head.

    They are dequantized to bfloat16 at load: that saves disk and download, but neither time nor memory against bf16.
    Codes are the nearest, or chosen by quant.rounding=hqq, gptq, awq or learned; quant.zero_point=true fits a zero
    point to each group. quant.embeddings=int8 or int4 stores the embeddings in codes too.
    """

    id: ClassVar[str] = "quant/int3"
    bits: ClassVar[int] = 3
    group_size: Literal[32, 64, 128]
    """Inputs of a row that share a scale; fewer are more precise and take more bytes."""


@lowers(Int3, "torch", "compile", "cuda_graphs")
def to_torch(quant: Int3) -> TensorLowering:
    return dequantized(quant, tolerance=0.80)
