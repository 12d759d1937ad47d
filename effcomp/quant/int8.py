"""Symmetric int8 weights, written from scratch (effcomp.quant.int8_linear)."""

from typing import TYPE_CHECKING, ClassVar, Literal

from effcomp.quant.base import (
    CODES,
    SCALE,
    Arithmetic,
    Granularity,
    Kind,
    Quant,
    Way,
    linear_layers,
    load_floats,
    split_codes,
    stored_state,
)

if TYPE_CHECKING:
    from torch import Tensor, nn


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
        from effcomp.quant.int8_linear import quantize

        tensors: dict[str, Tensor] = {}
        for name, tensor in stored_state(model).items():
            if tensor.is_floating_point() and tensor.ndim == 2:
                tensors[name + CODES], tensors[name + SCALE] = quantize(tensor, self.granularity)
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
    from effcomp.quant.int8_linear import dequantize

    coded, floats = split_codes(tensors)
    layers = {
        name: layer for name, layer in linear_layers(skeleton).items() if but_linear and f"{name}.weight" in coded
    }
    products = {name: coded.pop(f"{name}.weight") for name in layers}
    load_floats(skeleton, floats | {name: dequantize(*pair) for name, pair in coded.items()})
    return {name: (pair, layers[name].bias) for name, pair in products.items()}
