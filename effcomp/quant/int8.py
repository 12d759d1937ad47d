"""Symmetric int8 weights, written from scratch.

A weight w becomes integer codes q and a scale s with w ≈ s * q, where s = max|w| / 127 over the whole
tensor or over each output channel, and q = round(w / s) lies in [-127, 127] (Jacob et al. 2018,
"Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
section 2.1, with zero_point 0). The rounding error of each weight is at most s / 2.
"""

from typing import TYPE_CHECKING, ClassVar, Literal

from effcomp.quant.base import (
    CODES,
    SCALE,
    Arithmetic,
    Kind,
    Quant,
    Way,
    linear_layers,
    load_floats,
    nonzero_scale,
    split_codes,
    stored_state,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

Granularity = Literal["per_tensor", "per_channel"]
LARGEST_CODE = 127


def quantise(weight: "Tensor", granularity: Granularity) -> "tuple[Tensor, Tensor]":
    """Integer codes and scales of a float weight.

    Args:
        weight: (out, in), floating point, finite.
        granularity: one scale for the tensor, or one for each output channel (row).

    Returns:
        codes (out, in) int8 in [-127, 127], and scale float32: () per tensor, (out, 1) per channel.
        An all-zero tensor or channel gets scale 1.

    Raises:
        ValueError: the weight holds NaN or infinity.
    """
    import torch

    if not torch.isfinite(weight).all():
        raise ValueError("the weight holds NaN or infinity")
    weight = weight.float()
    largest = weight.abs().amax() if granularity == "per_tensor" else weight.abs().amax(dim=1, keepdim=True)
    scale = nonzero_scale(largest / LARGEST_CODE)
    codes = torch.round(weight / scale).clamp(-LARGEST_CODE, LARGEST_CODE).to(torch.int8)
    return codes, scale


def dequantise(codes: "Tensor", scale: "Tensor") -> "Tensor":
    """The float32 weight that codes and scale stand for."""
    import torch

    largest = torch.finfo(torch.float32).max
    return (codes.float() * scale).clamp(-largest, largest)  # the scale was rounded: 127 of it may be past the largest


class Int8Scratch(Quant):
    """Every matrix in int8 codes, embeddings too: a quarter of the float file.

    With float32 activations the weights are dequantised at load: that saves disk and download, neither time nor
    memory. With int8 activations linear layers stay in codes and multiply in int8 (`Int8Linear`). Under cuda_graphs
    weights stay in codes and activations are bfloat16 in either case.
    """

    id: ClassVar[str] = "quant/int8_scratch"
    granularity: Granularity
    activations: Literal["float32", "int8"]

    @property
    def ways(self) -> dict[str, Way]:
        touches: tuple[Kind, ...] = ("embeddings", "linear", "head")
        way = Way(touches)
        if self.activations == "int8":  # a GPU's int8 products take no head of two classes
            way = Way(touches, ("_int_mm",), ("cpu",))
        return {**dict.fromkeys(("torch", "compile"), way), "cuda_graphs": Way(touches, arithmetic="bfloat16")}

    @property
    def arithmetic(self) -> Arithmetic:
        return self.activations

    def encode(self, model: "nn.Module") -> "dict[str, Tensor]":
        tensors: dict[str, Tensor] = {}
        for name, tensor in stored_state(model).items():
            if tensor.is_floating_point() and tensor.ndim == 2:
                tensors[name + CODES], tensors[name + SCALE] = quantise(tensor, self.granularity)
            else:
                tensors[name] = tensor
        return tensors

    def decode(self, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
        from effcomp.quant.int8_linear import Int8Linear

        for name, (pair, bias) in load_dequantised(skeleton, tensors, but_linear=self.activations == "int8").items():
            skeleton.set_submodule(name, Int8Linear(*pair, bias))
        return skeleton

    def decode_fused(self, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
        from effcomp.quant.fused_linear import ByRow, placed

        products = load_dequantised(skeleton, tensors, but_linear=True)
        return placed(skeleton, {name: ByRow(*pair, bias) for name, (pair, bias) in products.items()})


def load_dequantised(
    skeleton: "nn.Module", tensors: "dict[str, Tensor]", *, but_linear: bool
) -> "dict[str, tuple[tuple[Tensor, Tensor], Tensor | None]]":
    """Put the stored tensors in their places, dequantised.

    Args:
        but_linear: leave the linear layers out, and return them: {name: ((codes, scale), bias)}. A head that is tied to
            the embeddings has no codes of its own and stays float.
    """
    coded, floats = split_codes(tensors)
    layers = {
        name: layer for name, layer in linear_layers(skeleton).items() if but_linear and f"{name}.weight" in coded
    }
    products = {name: coded.pop(f"{name}.weight") for name in layers}
    load_floats(skeleton, floats | {name: dequantise(*pair) for name, pair in coded.items()})
    return {name: (pair, layers[name].bias) for name, pair in products.items()}
