"""Symmetric int8 weights, written from scratch (effcomp.quant.int8_linear)."""

from typing import TYPE_CHECKING, ClassVar, Literal

from effcomp.quant.base import Quant
from effcomp.quant.grid import Granularity
from effcomp.quant.lowering import TensorLowering, lowers
from effcomp.quant.tensors import (
    CODES,
    SCALE,
    ParameterGroup,
    linear_layers,
    load_floats,
    split_codes,
    stored_state,
    tables,
    untied_layers,
)

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from effcomp.quant.rounding.fake_quant import FakeQuant

MATRICES: tuple[ParameterGroup, ...] = ("embeddings", "linear", "head")
TOLERANCE = 0.05


class Int8Scratch(Quant):
    """Every matrix in int8 codes, embeddings too: a quarter of the float file.

    With float32 activations the weights are dequantized at load: that saves disk and download, but neither time nor
    memory. With int8 activations linear layers stay in codes and multiply in int8. Under cuda_graphs
    weights stay in codes and activations are bfloat16 in either case.
    """

    id: ClassVar[str] = "quant/int8_scratch"
    granularity: Granularity
    """Weights that share a scale: one row, or the whole matrix."""
    activations: Literal["float32", "int8"]
    """`float32` dequantizes the weights at load; `int8` multiplies in int8, one scale a token."""

    def start(self) -> None:
        from effcomp.core.machine import has_vector_code
        from effcomp.quant.integer_products import integer_products

        if self.activations == "int8" and not has_vector_code("_int_mm"):
            integer_products()  # the compiler takes a second, once for each user

    def check_training(self, runtime: str) -> None:
        return

    def fake_quant(self, model: "PreTrainedModel") -> "dict[str, FakeQuant]":
        from effcomp.quant.rounding.fake_quant import FakeInt8, int8_by_token

        activations = int8_by_token if self.activations == "int8" else None
        found: dict[str, FakeQuant] = {name: FakeInt8(self.granularity) for name in tables(model)}
        return found | {name: FakeInt8(self.granularity, activations) for name in untied_layers(model)}


def encode(quant: Int8Scratch, model: "nn.Module") -> "dict[str, Tensor]":
    from effcomp.quant.int8_linear import quantize

    tensors: dict[str, Tensor] = {}
    for name, tensor in stored_state(model).items():
        if tensor.is_floating_point() and tensor.ndim == 2:
            tensors[name + CODES], tensors[name + SCALE] = quantize(tensor, quant.granularity)
        else:
            tensors[name] = tensor
    return tensors


def decode(quant: Int8Scratch, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    from effcomp.quant.integer_products import int8_linear

    in_codes = load_dequantized(skeleton, tensors, except_linear=quant.activations == "int8")
    for name, (pair, bias) in in_codes.items():
        skeleton.set_submodule(name, int8_linear(*pair, bias))
    return skeleton


def decode_fused(quant: Int8Scratch, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    from effcomp.quant.fused_linear import ByRow, placed

    in_codes = load_dequantized(skeleton, tensors, except_linear=True)
    return placed(skeleton, {name: ByRow(*pair, bias) for name, (pair, bias) in in_codes.items()})


def load_dequantized(
    skeleton: "nn.Module", tensors: "dict[str, Tensor]", *, except_linear: bool
) -> "dict[str, tuple[tuple[Tensor, Tensor], Tensor | None]]":
    """Put the stored tensors in their places, dequantized.

    Args:
        except_linear: leave the linear layers out and return them. A head that is tied to the embeddings has no codes
            of its own and stays float.

    Returns:
        {name: ((codes, scale), bias)} of the linear layers that are left out.
    """
    from effcomp.quant.int8_linear import dequantize

    coded, floats = split_codes(tensors)
    layers = {
        name: layer for name, layer in linear_layers(skeleton).items() if except_linear and f"{name}.weight" in coded
    }
    in_codes = {name: coded.pop(f"{name}.weight") for name in layers}
    load_floats(skeleton, floats | {name: dequantize(*pair) for name, pair in coded.items()})
    return {name: (pair, layers[name].bias) for name, pair in in_codes.items()}


@lowers(Int8Scratch, "torch", "compile")
def to_torch(quant: Int8Scratch) -> TensorLowering:
    int8 = quant.activations == "int8"
    return TensorLowering(
        applies_to=MATRICES,
        expected_kernels=("_int_mm", "effcomp::integer_product") if int8 else (),
        devices=("cpu",) if int8 else ("cpu", "cuda"),  # a GPU's int8 products take no head of two classes
        compute_dtype=quant.activations,
        tolerance=TOLERANCE,
        encode=encode,
        decode=decode,
    )


@lowers(Int8Scratch, "cuda_graphs")
def to_cuda_graphs(quant: Int8Scratch) -> TensorLowering:
    return TensorLowering(
        applies_to=MATRICES, compute_dtype="bfloat16", tolerance=TOLERANCE, encode=encode, decode=decode_fused
    )
