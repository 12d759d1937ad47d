"""MXFP4: 4-bit floats in blocks that share a power of two (OCP Microscaling Formats specification 1.0, sections 5 and
6.3)."""

from typing import TYPE_CHECKING, ClassVar

from effcomp.quant.base import Quant
from effcomp.quant.lowering import TensorLowering, lowers
from effcomp.quant.tensors import CODES, SCALE, body_layers, cast, linear_layers, load_floats, split_codes, stored_in

if TYPE_CHECKING:
    from torch import Tensor, nn

BLOCK = 32
"""Inputs of a row that share a scale."""
LEVELS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Values of the codes without their sign: E2M1."""
EXPONENT = 2
"""Exponent of the largest level."""
BIAS = 127
"""Bias of the stored exponent of a block: E8M0."""


class Mxfp4(Quant):
    """Weights in 4-bit floats (E2M1), with a power of two for every 32 inputs; linear layers without the head.

    4.25 bits a weight on disk. They are dequantized to bfloat16 at load, which holds them exactly: that saves download,
    but neither time nor memory against bf16.
    """

    id: ClassVar[str] = "quant/mxfp4"


def quantize_mxfp4(weight: "Tensor") -> "tuple[Tensor, Tensor]":
    """Return the nearest codes, ties to even; weights beyond the largest level of their block are that level.

    Args:
        weight: (out, in), finite.

    Returns:
        codes (out, blocks * 16) uint8, two in a byte, the first in the lower bits, the sign in the highest of four; and
        scale (out, blocks) uint8, the exponent of each block's power of two with 127 added.
    """
    import torch

    from effcomp.quant.groups import in_groups
    from effcomp.quant.packed import pack

    blocks = in_groups(weight, BLOCK)
    largest = blocks.abs().amax(dim=-1).clamp(min=2.0**-BIAS)
    exponent = (torch.frexp(largest).exponent - 1 - EXPONENT).clamp(min=-BIAS)
    values = torch.ldexp(blocks, -exponent[..., None])
    step = torch.ldexp(torch.full_like(values, 0.5), (torch.frexp(values.abs()).exponent - 1).clamp(min=0))
    rounded = (torch.round(values / step) * step).clamp(-LEVELS[-1], LEVELS[-1])
    codes = torch.searchsorted(torch.tensor(LEVELS), rounded.abs()) + 8 * torch.signbit(rounded)
    return pack((codes - 8).to(torch.int8).flatten(1), 4), (exponent + BIAS).to(torch.uint8)


def dequantize_mxfp4(codes: "Tensor", scale: "Tensor", columns: int) -> "Tensor":
    """Return the (out, columns) weights in bfloat16."""
    import torch

    from effcomp.quant.packed import unpack_whole

    levels = torch.tensor([*LEVELS, *(-level for level in LEVELS)])
    values = levels[unpack_whole(codes, 4).long()].unflatten(1, (-1, BLOCK))
    weight: Tensor = torch.ldexp(values, scale.int()[..., None] - BIAS).flatten(1)[:, :columns].bfloat16()
    return weight.contiguous()


def encode(quant: Mxfp4, model: "nn.Module") -> "dict[str, Tensor]":
    tensors = stored_in(model, "bfloat16")
    for name, layer in body_layers(model).items():
        del tensors[f"{name}.weight"]
        tensors[name + CODES], tensors[name + SCALE] = quantize_mxfp4(layer.weight.detach())
    return tensors


def decode(quant: Mxfp4, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    import torch

    coded, floats = split_codes(tensors)
    layers = linear_layers(skeleton)
    weights = {f"{name}.weight": dequantize_mxfp4(*pair, layers[name].in_features) for name, pair in coded.items()}
    load_floats(skeleton, floats | weights)
    return cast(skeleton, torch.bfloat16)


@lowers(Mxfp4, "torch", "compile", "cuda_graphs")
def to_torch(quant: Mxfp4) -> TensorLowering:
    return TensorLowering(
        applies_to=("linear",), compute_dtype="bfloat16", tolerance=0.40, encode=encode, decode=decode
    )
