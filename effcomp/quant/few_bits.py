"""Integer weights of 2 and 3 bits in groups, dequantized at load: no kernel of PyTorch multiplies them."""

from typing import TYPE_CHECKING

from effcomp.quant.grouped import Grouped
from effcomp.quant.lowering import TensorLowering

if TYPE_CHECKING:
    from torch import Tensor, nn


def encode(quant: Grouped, model: "nn.Module") -> "dict[str, Tensor]":
    from effcomp.quant.grouped_tensors import encode_groups

    return encode_groups(model, quant.grid, quant.embeddings)


def decode(quant: Grouped, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    from effcomp.quant.grouped_tensors import load_dequantized

    return load_dequantized(skeleton, tensors, quant.group_size)


def dequantized(quant: Grouped, tolerance: float) -> TensorLowering:
    """Return the lowering that dequantizes the weights to bfloat16 at load."""
    return TensorLowering(
        applies_to=quant.coded, compute_dtype="bfloat16", tolerance=tolerance, encode=encode, decode=decode
    )
