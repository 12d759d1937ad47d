"""8-bit floats, for GPUs that multiply them (Micikevicius et al. 2022, "FP8 Formats for Deep Learning", section 3)."""

from typing import TYPE_CHECKING, ClassVar

from effcomp.core.processors import GPU_CAPABILITY
from effcomp.quant.base import Quant
from effcomp.quant.lowering import TensorLowering, lowers
from effcomp.quant.tensors import CODES, SCALE, body_layers, linear_layers, load_floats, split_codes, stored_in

if TYPE_CHECKING:
    from torch import Tensor, nn

SIDE = 16
"""The products need both sides of a matrix to be multiples of this."""


class Fp8(Quant):
    """Weights and activations in E4M3, a scale for each output and for each token.

    Linear layers without the head, those whose sides are multiples of 16. All else is bfloat16.
    """

    id: ClassVar[str] = "quant/fp8"


def encode(quant: Fp8, model: "nn.Module") -> "dict[str, Tensor]":
    from effcomp.quant.fp8_linear import quantize_fp8

    tensors = stored_in(model, "bfloat16")
    for name, layer in body_layers(model).items():
        if layer.in_features % SIDE == 0 and layer.out_features % SIDE == 0:
            del tensors[f"{name}.weight"]
            tensors[name + CODES], tensors[name + SCALE] = quantize_fp8(layer.weight.detach())
    return tensors


def decode(quant: Fp8, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    from effcomp.quant.fp8_linear import Fp8Linear
    from effcomp.quant.fused_linear import placed

    coded, floats = split_codes(tensors)
    load_floats(skeleton, floats)
    layers = linear_layers(skeleton)
    return placed(skeleton, {name: Fp8Linear(*pair, layers[name].bias) for name, pair in coded.items()})


@lowers(Fp8, "cuda_graphs")
def to_cuda_graphs(quant: Fp8) -> TensorLowering:
    return TensorLowering(
        applies_to=("linear",),
        devices=("cuda",),
        capability=GPU_CAPABILITY["float8"],
        compute_dtype="float8",
        tolerance=0.20,
        encode=encode,
        decode=decode,
    )
