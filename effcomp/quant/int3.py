"""3-bit integer weights in groups, to see how few bits a model bears: no kernel is fast with them."""

from typing import TYPE_CHECKING, ClassVar

from effcomp.quant.grouped import Grouped
from effcomp.quant.lowering import TensorLowering, lowers
from effcomp.quant.tensors import cast, linear_layers, load_floats

if TYPE_CHECKING:
    from torch import Tensor, nn


class Int3(Grouped):
    """3-bit weights with a scale for every group of inputs; linear layers without the head.

    They are dequantized to bfloat16 at load: that saves disk and download, but neither time nor memory against bf16.
    Codes are the nearest, or chosen by quant.rounding=hqq or gptq. quant.embeddings=int8 or int4 stores the embeddings
    in groups too.
    """

    id: ClassVar[str] = "quant/int3"
    largest_code: ClassVar[int] = 3


def encode(quant: Int3, model: "nn.Module") -> "dict[str, Tensor]":
    from effcomp.quant.groups import encode_groups
    from effcomp.quant.int3_codes import pack

    return encode_groups(model, quant.group_size, quant.largest_code, pack, quant.embeddings)


def decode(quant: Int3, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    import torch

    from effcomp.quant.groups import dequantize_groups, load_groups
    from effcomp.quant.int3_codes import unpack

    coded = load_groups(skeleton, tensors)
    layers = linear_layers(skeleton)
    weights = {}
    for name, (stored, scale) in coded.items():
        codes = unpack(stored, scale.shape[1] * quant.group_size)
        weights[f"{name}.weight"] = dequantize_groups(codes, scale, layers[name].in_features)
    load_floats(skeleton, weights)
    return cast(skeleton, torch.bfloat16)


@lowers(Int3, "torch", "compile", "cuda_graphs")
def to_torch(quant: Int3) -> TensorLowering:
    return TensorLowering(
        applies_to=quant.coded, compute_dtype="bfloat16", tolerance=0.80, encode=encode, decode=decode
    )
