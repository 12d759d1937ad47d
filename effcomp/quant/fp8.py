"""8-bit floats, for GPUs that multiply them (Micikevicius et al. 2022, "FP8 Formats for Deep Learning", section 3)."""

from typing import TYPE_CHECKING, ClassVar

from effcomp.quant.base import (
    CODES,
    HEADS,
    SCALE,
    Arithmetic,
    Quant,
    Way,
    linear_layers,
    load_floats,
    nonzero_scale,
    split_codes,
    stored_in,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

LARGEST = 448.0
"""The largest finite value of E4M3."""
SIDE = 16
"""The products want both sides of a matrix to be multiples of this."""


def quantise_fp8(weight: "Tensor") -> "tuple[Tensor, Tensor]":
    """Codes in E4M3 (4 bits of exponent, 3 of mantissa) and a scale for each output: w ≈ s * q, s = max|w| / 448.

    Args:
        weight: (out, in), finite.

    Returns:
        codes (out, in) float8_e4m3fn, and scale (out, 1) float32; 1 where a row is all zeros.
    """
    import torch

    scale = nonzero_scale(weight.float().abs().amax(dim=1, keepdim=True) / LARGEST)
    return (weight.float() / scale).clamp(-LARGEST, LARGEST).to(torch.float8_e4m3fn), scale


class Fp8(Quant):
    """Weights and activations in E4M3, a scale for each output and for each token; linear layers without the head,
    those whose sides are multiples of 16. All else is bfloat16."""

    id: ClassVar[str] = "quant/fp8"
    devices: ClassVar[tuple[str, ...]] = ("cuda",)
    capability: ClassVar[tuple[int, int]] = (8, 9)  # Ada and Hopper

    @property
    def ways(self) -> dict[str, Way]:
        return {"cuda_graphs": Way(("linear",))}

    @property
    def arithmetic(self) -> Arithmetic:
        return "float8"

    def encode(self, model: "nn.Module") -> "dict[str, Tensor]":
        tensors = stored_in(model, "bfloat16")
        for name, layer in linear_layers(model, skip=HEADS).items():
            if layer.in_features % SIDE == 0 and layer.out_features % SIDE == 0:
                del tensors[f"{name}.weight"]
                tensors[name + CODES], tensors[name + SCALE] = quantise_fp8(layer.weight.detach())
        return tensors

    def decode_fused(self, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
        from effcomp.quant.fp8_linear import Fp8Linear
        from effcomp.quant.fused_linear import placed

        coded, floats = split_codes(tensors)
        load_floats(skeleton, floats)
        layers = linear_layers(skeleton)
        return placed(skeleton, {name: Fp8Linear(*pair, layers[name].bias) for name, pair in coded.items()})
