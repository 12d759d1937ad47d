"""Ternary weights (Ma et al. 2024, "The Era of 1-bit LLMs", section 2), in two bits each."""

from typing import TYPE_CHECKING, ClassVar

from effcomp.quant.base import (
    CODES,
    HEADS,
    SCALE,
    Arithmetic,
    Quant,
    Way,
    cast,
    linear_layers,
    load_floats,
    nonzero_scale,
    split_codes,
    stored_state,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

PER_BYTE = 4


def quantise_ternary(weight: "Tensor") -> "tuple[Tensor, Tensor]":
    """Codes q in {-1, 0, 1} and one scale s with w ≈ s * q: s = mean|w|, q = clip(round(w / s), -1, 1).

    A weight that is ternary already keeps its own scale, and comes back exactly.

    Args:
        weight: (out, in), floating point, finite.

    Returns:
        codes (out, in) int8, scale () float32; 1 where every weight is zero.
    """
    import torch

    magnitude = weight.float().abs()
    largest = magnitude.amax()
    exact = bool(((magnitude == 0) | (magnitude == largest)).all())
    scale = nonzero_scale(largest if exact else magnitude.double().mean().float())
    return (weight.float() / scale).round().clamp(-1, 1).to(torch.int8), scale


def packed(codes: "Tensor") -> "Tensor":
    """(out, in) codes in {-1, 0, 1} as (out, ceil(in / 4)) uint8: bits 2i and 2i + 1 of a byte hold the code + 1 of its
    column i."""
    import torch
    from torch.nn.functional import pad

    columns = pad((codes + 1).to(torch.uint8), (0, -codes.shape[1] % PER_BYTE)).unflatten(1, (-1, PER_BYTE))
    shifts = torch.arange(0, 2 * PER_BYTE, 2, dtype=torch.uint8)
    return (columns << shifts).sum(dim=-1, dtype=torch.uint8)


def unpacked(stored: "Tensor", in_features: int) -> "Tensor":
    """What `packed` packed: (out, in) int8."""
    import torch

    shifts = torch.arange(0, 2 * PER_BYTE, 2, dtype=torch.uint8)
    codes = (stored[..., None] >> shifts) & 3
    return codes.flatten(1)[:, :in_features].to(torch.int8) - 1


def by_planes(codes: "Tensor") -> "Tensor":
    """The same for a GPU's kernels (effcomp.quant.ternary_gpu): with W = in / 4, byte j of a row holds the
    codes of its columns j, j + W, j + 2 W and j + 3 W, the first highest, in two's complement; in must be a multiple
    of 4."""
    import torch

    stored = codes.new_zeros(len(codes), codes.shape[1] // PER_BYTE, dtype=torch.uint8)
    for number, plane in enumerate(codes.chunk(PER_BYTE, dim=1)):
        stored |= (plane & 3).to(torch.uint8) << (6 - 2 * number)
    return stored


class Ternary(Quant):
    """Weights -s, 0 or s with one s for each linear layer but the head; activations int8, one scale for each token.
    Under cuda_graphs the weights stay in two bits, and all else is bfloat16.

    After training it ruins a model that was not trained for it: use it behind finetune=ternary, or on BitNet.
    """

    id: ClassVar[str] = "quant/ternary"

    @property
    def ways(self) -> dict[str, Way]:
        return {
            **dict.fromkeys(("torch", "compile"), Way(("linear",), ("_int_mm",))),
            "cuda_graphs": Way(("linear",), ("few_tokens_kernel", "product_kernel")),
        }

    @property
    def arithmetic(self) -> Arithmetic:
        return "int8"

    def encode(self, model: "nn.Module") -> "dict[str, Tensor]":
        tensors = stored_state(model)
        for name in linear_layers(model, skip=HEADS):
            codes, scale = quantise_ternary(tensors.pop(f"{name}.weight"))
            tensors[name + CODES], tensors[name + SCALE] = packed(codes), scale
        return tensors

    def decode(self, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
        from effcomp.quant.int8_linear import Int8Linear

        coded, floats = split_codes(tensors)
        load_floats(skeleton, floats)
        layers = linear_layers(skeleton)
        for name, (codes, scale) in coded.items():
            layer = layers[name]
            skeleton.set_submodule(name, Int8Linear(unpacked(codes, layer.in_features), scale, layer.bias))
        return skeleton

    def decode_fused(self, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
        import torch

        from effcomp.quant.ternary_gpu import pack_layers

        coded, floats = split_codes(tensors)
        load_floats(skeleton, floats)
        layers = linear_layers(cast(skeleton, torch.bfloat16))
        pack_layers(
            skeleton,
            {
                name: (unpacked(codes, layers[name].in_features), scale, layers[name].bias)
                for name, (codes, scale) in coded.items()
            },
        )
        return skeleton
