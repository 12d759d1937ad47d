"""Ternary weights (effcomp.quant.ternary_codes), in two bits each."""

from typing import TYPE_CHECKING, ClassVar

from effcomp.quant.base import Quant
from effcomp.quant.lowering import TensorLowering, lowers
from effcomp.quant.tensors import (
    CODES,
    HEAD_MODULES,
    SCALE,
    cast,
    linear_layers,
    load_floats,
    split_codes,
    stored_state,
)

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from effcomp.quant.rounding.fake_quant import FakeQuant

TOLERANCE = 0.10


class Ternary(Quant):
    """Weights -s, 0 or s with one s for each linear layer but the head; activations int8, one scale for each token.

    Under cuda_graphs the weights stay in two bits, and all else is bfloat16. Post-training use destroys accuracy; use
    it after finetune=ternary, or on BitNet.
    """

    id: ClassVar[str] = "quant/ternary"

    def check_training(self, runtime: str) -> None:
        return

    def fake_quant(self, model: "PreTrainedModel") -> "dict[str, FakeQuant]":
        from effcomp.quant.rounding import fake_quant

        layers = linear_layers(model, skip=HEAD_MODULES)
        return {name: fake_quant.Ternary(fake_quant.int8_by_token) for name in layers}


def encode(quant: Ternary, model: "nn.Module") -> "dict[str, Tensor]":
    from effcomp.quant.ternary_codes import pack, quantize_ternary

    tensors = stored_state(model)
    for name in linear_layers(model, skip=HEAD_MODULES):
        codes, scale = quantize_ternary(tensors.pop(f"{name}.weight"))
        tensors[name + CODES], tensors[name + SCALE] = pack(codes), scale
    return tensors


def decode(quant: Ternary, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    from effcomp.quant.int8_linear import Int8Linear
    from effcomp.quant.ternary_codes import unpack

    coded, floats = split_codes(tensors)
    load_floats(skeleton, floats)
    layers = linear_layers(skeleton)
    for name, (codes, scale) in coded.items():
        layer = layers[name]
        skeleton.set_submodule(name, Int8Linear(unpack(codes, layer.in_features), scale, layer.bias))
    return skeleton


def decode_packed(quant: Ternary, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    import torch

    from effcomp.quant.ternary_codes import unpack
    from effcomp.quant.ternary_gpu import pack_layers

    coded, floats = split_codes(tensors)
    load_floats(skeleton, floats)
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
        applies_to=("linear",),
        expected_kernels=("_int_mm",),
        compute_dtype="int8",
        tolerance=TOLERANCE,
        encode=encode,
        decode=decode,
    )


@lowers(Ternary, "cuda_graphs")
def to_cuda_graphs(quant: Ternary) -> TensorLowering:
    return TensorLowering(
        applies_to=("linear",),
        expected_kernels=("few_tokens_kernel", "product_kernel"),
        compute_dtype="int8",
        tolerance=TOLERANCE,
        encode=encode,
        decode=decode_packed,
    )
