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
    split_codes,
    stored_in,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

SIDE = 16
"""The products want both sides of a matrix to be multiples of this."""


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
        from effcomp.quant.fp8_linear import quantize_fp8

        tensors = stored_in(model, "bfloat16")
        for name, layer in linear_layers(model, skip=HEADS).items():
            if layer.in_features % SIDE == 0 and layer.out_features % SIDE == 0:
                del tensors[f"{name}.weight"]
                tensors[name + CODES], tensors[name + SCALE] = quantize_fp8(layer.weight.detach())
        return tensors

    def decode_fused(self, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
        from effcomp.quant.fp8_linear import Fp8Linear
        from effcomp.quant.fused_linear import placed

        coded, floats = split_codes(tensors)
        load_floats(skeleton, floats)
        layers = linear_layers(skeleton)
        return placed(skeleton, {name: Fp8Linear(*pair, layers[name].bias) for name, pair in coded.items()})
