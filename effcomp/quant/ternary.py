"""Ternary weights (effcomp.quant.ternary_codes), in two bits each."""

from typing import TYPE_CHECKING, ClassVar, Literal

from effcomp.quant.base import Quant
from effcomp.quant.lowering import TensorLowering, lowers
from effcomp.quant.tensors import (
    CODES,
    HEAD_MODULES,
    SCALE,
    ParameterGroup,
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


class Ternary(Quant):
    """Weights -s, 0 or s with one s for each linear layer but the head; activations int8, one scale for each token.

    Weights stay in two bits on a processor with a C compiler (effcomp.quant.integer_products), and under cuda_graphs,
    where all else is bfloat16; elsewhere they are multiplied as int8. Post-training use destroys accuracy; use
    it after finetune=ternary, or on BitNet.
    """

    id: ClassVar[str] = "quant/ternary"
    embeddings: Literal["float32", "int8"] = "float32"
    """Type of the embedding tables, and of a head that is tied to them: int8 has a scale for each row, and such a head
    multiplies in int8. Under cuda_graphs int8 is dequantized at load."""

    @property
    def coded(self) -> tuple[ParameterGroup, ...]:
        """Parameters that are stored in codes."""
        return ("linear",) if self.embeddings == "float32" else ("embeddings", "linear")

    def check_training(self, runtime: str) -> None:
        return

    def fake_quant(self, model: "PreTrainedModel") -> "dict[str, FakeQuant]":
        from effcomp.quant.rounding import fake_quant

        layers = linear_layers(model, skip=HEAD_MODULES)
        found: dict[str, FakeQuant] = {name: fake_quant.Ternary(fake_quant.int8_by_token) for name in layers}
        if self.embeddings == "float32":
            return found
        return found | {name: fake_quant.Int8("per_channel", fake_quant.int8_by_token) for name in tables(model)}


def encode(quant: Ternary, model: "nn.Module") -> "dict[str, Tensor]":
    from effcomp.quant.int8_linear import quantize
    from effcomp.quant.ternary_codes import pack, quantize_ternary

    tensors = stored_state(model)
    if quant.embeddings == "int8":
        for name in [f"{name}.weight" for name in tables(model) if f"{name}.weight" in tensors]:
            tensors[name + CODES], tensors[name + SCALE] = quantize(tensors.pop(name), "per_channel")
    for name in linear_layers(model, skip=HEAD_MODULES):
        codes, scale = quantize_ternary(tensors.pop(f"{name}.weight"))
        tensors[name + CODES], tensors[name + SCALE] = pack(codes), scale
    return tensors


def decode(quant: Ternary, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    from effcomp.quant.int8_linear import Int8Embedding
    from effcomp.quant.integer_products import fastest_linear
    from effcomp.quant.ternary_codes import unpack

    coded, floats = split_codes(tensors)
    load_floats(skeleton, floats)
    layers = linear_layers(skeleton)
    for name, table in tables(skeleton).items():
        if f"{name}.weight" not in coded:
            continue
        pair = coded.pop(f"{name}.weight")
        for tied in [head for head, layer in layers.items() if layer.weight is table.weight]:
            skeleton.set_submodule(tied, fastest_linear(*pair, layers[tied].bias))
        skeleton.set_submodule(name, Int8Embedding(*pair))
    for name, (codes, scale) in coded.items():
        layer = layers[name]
        codes = unpack(codes, layer.in_features)
        skeleton.set_submodule(name, fastest_linear(codes, scale, layer.bias, ternary=True))
    return skeleton


def move(model: "nn.Module", place: str) -> "nn.Module":
    if place != "cpu":
        from effcomp.quant.integer_products import leave_the_processor

        leave_the_processor(model)
    return model.to(place)


def decode_packed(quant: Ternary, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    import torch

    from effcomp.quant.int8_linear import dequantize
    from effcomp.quant.ternary_codes import unpack
    from effcomp.quant.ternary_gpu import pack_layers

    coded, floats = split_codes(tensors)
    rows = {name: coded.pop(name) for name in [f"{name}.weight" for name in tables(skeleton)] if name in coded}
    load_floats(skeleton, floats | {name: dequantize(*pair) for name, pair in rows.items()})
    layers = linear_layers(cast(skeleton, torch.bfloat16))
    pack_layers(
        skeleton,
        {
            name: (unpack(codes, layers[name].in_features), scale, layers[name].bias)
            for name, (codes, scale) in coded.items()
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
