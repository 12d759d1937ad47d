"""Ternary weights (effcomp.quant.ternary_codes), in two bits each."""

from typing import TYPE_CHECKING, ClassVar, Literal

from effcomp.quant.base import Quant
from effcomp.quant.lowering import TensorLowering, lowers
from effcomp.quant.tensors import (
    CODES,
    SCALE,
    ParameterGroup,
    body_layers,
    cast,
    linear_layers,
    load_floats,
    split_codes,
    stored_state,
    tables,
)

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from effcomp.quant.rounding.fake_quant import FakeQuant

TOLERANCE = 0.10
LINES = ".lines"
"""Ending of the name under which the codes of a layer are stored."""


class Ternary(Quant):
    """Weights -s, 0 or s with one s for each linear layer but the head; activations int8, one scale for each token.

    Weights stay in two bits on a processor with a C compiler (effcomp.quant.integer_products), and under cuda_graphs,
    where all else is bfloat16; elsewhere they are multiplied as int8. Post-training use destroys accuracy; use
    it after finetune=ternary, or on BitNet.
    """

    id: ClassVar[str] = "quant/ternary"
    embeddings: Literal["float32", "int8"] = "float32"
    """Type of the embedding tables, and of a head that is tied to them. int8 has a scale for each row, and such a head
    multiplies in int8. Under cuda_graphs int8 is dequantized at load, elsewhere the tables of architectures that scale
    the rows or shift the positions (Gemma, OPT)."""

    @property
    def coded(self) -> tuple[ParameterGroup, ...]:
        """Parameters that are stored in codes."""
        return ("linear",) if self.embeddings == "float32" else ("embeddings", "linear")

    def start(self) -> None:
        from effcomp.quant.integer_products import integer_products

        integer_products()  # the compiler takes a second, once for each user

    def check_training(self, runtime: str) -> None:
        return

    def fake_quant(self, model: "PreTrainedModel") -> "dict[str, FakeQuant]":
        from effcomp.quant.rounding import fake_quant

        layers = body_layers(model)
        found: dict[str, FakeQuant] = {name: fake_quant.FakeTernary(fake_quant.int8_by_token) for name in layers}
        if self.embeddings == "float32":
            return found
        return found | {name: fake_quant.FakeInt8("per_channel", fake_quant.int8_by_token) for name in tables(model)}


def encode(quant: Ternary, model: "nn.Module") -> "dict[str, Tensor]":
    from effcomp.quant.int8_linear import quantize
    from effcomp.quant.ternary_codes import pack_by_lines, quantize_ternary

    tensors = stored_state(model)
    if quant.embeddings == "int8":
        for name in [f"{name}.weight" for name in tables(model) if f"{name}.weight" in tensors]:
            tensors[name + CODES], tensors[name + SCALE] = quantize(tensors.pop(name), "per_channel")
    for name in body_layers(model):
        codes, scale = quantize_ternary(tensors.pop(f"{name}.weight"))
        tensors[name + LINES], tensors[name + SCALE] = pack_by_lines(codes), scale
    return tensors


def load_ternary(
    skeleton: "nn.Module", tensors: "dict[str, Tensor]"
) -> "tuple[dict[str, tuple[Tensor, Tensor]], dict[str, tuple[Tensor, Tensor]]]":
    """Put the stored float tensors in their places.

    Returns:
        {name: (lines, scale)} of the linear layers, and {name: (codes, scale)} of the embedding tables in int8.
    """
    from effcomp.quant.ternary_codes import pack_by_lines, unpack

    lines = {name.removesuffix(LINES): tensors.pop(name) for name in list(tensors) if name.endswith(LINES)}
    ternary = {name: (stored, tensors.pop(name + SCALE)) for name, stored in lines.items()}
    coded, floats = split_codes(tensors)
    load_floats(skeleton, floats)
    rows = {name: coded.pop(f"{name}.weight") for name in tables(skeleton) if f"{name}.weight" in coded}
    layers = linear_layers(skeleton)
    for name, (codes, scale) in coded.items():  # an artifact that was written before the codes lay in lines
        ternary[name] = pack_by_lines(unpack(codes, layers[name].in_features)), scale
    return ternary, rows


def decode(quant: Ternary, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    from torch import nn

    from effcomp.quant.int8_linear import Int8Embedding, dequantize
    from effcomp.quant.integer_products import int8_linear, ternary_linear

    ternary, rows = load_ternary(skeleton, tensors)
    layers, embeddings = linear_layers(skeleton), tables(skeleton)
    for name, pair in rows.items():
        for tied in [head for head, layer in layers.items() if layer.weight is embeddings[name].weight]:
            skeleton.set_submodule(tied, int8_linear(*pair, layers[tied].bias))
        if type(embeddings[name]) is nn.Embedding:
            skeleton.set_submodule(name, Int8Embedding(*pair))
        else:
            embeddings[name].weight = nn.Parameter(dequantize(*pair), requires_grad=False)
    for name, pair in ternary.items():
        skeleton.set_submodule(name, ternary_linear(*pair, layers[name].bias, layers[name].in_features))
    return skeleton


def move(model: "nn.Module", place: str) -> "nn.Module":
    if place != "cpu":
        from effcomp.quant.integer_products import leave_the_processor

        leave_the_processor(model)
    return model.to(place)


def decode_packed(quant: Ternary, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    import torch

    from effcomp.quant.int8_linear import dequantize
    from effcomp.quant.ternary_codes import unpack_lines
    from effcomp.quant.ternary_gpu import pack_layers

    ternary, rows = load_ternary(skeleton, tensors)
    load_floats(skeleton, {f"{name}.weight": dequantize(*pair) for name, pair in rows.items()})
    layers = linear_layers(cast(skeleton, torch.bfloat16))
    pack_layers(
        skeleton,
        {
            name: (unpack_lines(lines, layers[name].in_features), scale, layers[name].bias)
            for name, (lines, scale) in ternary.items()
        },
    )
    return skeleton


@lowers(Ternary, "torch", "compile")
def to_torch(quant: Ternary) -> TensorLowering:
    return TensorLowering(
        applies_to=quant.coded,
        expected_kernels=("_int_mm", "effcomp::integer_product"),
        compute_dtype="int8",
        tolerance=TOLERANCE,
        encode=encode,
        decode=decode,
        move=move,
    )


@lowers(Ternary, "cuda_graphs")
def to_cuda_graphs(quant: Ternary) -> TensorLowering:
    return TensorLowering(
        applies_to=quant.coded,
        expected_kernels=("few_tokens_kernel", "product_kernel"),
        compute_dtype="int8",
        tolerance=TOLERANCE,
        encode=encode,
        decode=decode_packed,
    )
