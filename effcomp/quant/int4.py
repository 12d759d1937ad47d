"""4-bit integer weights in groups, activations left alone."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from effcomp.core.batches import Batch
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
    stored_in,
)
from effcomp.quant.onnx_graph import read_graph

if TYPE_CHECKING:
    from openvino import Model as OpenVinoModel
    from torch import Tensor, nn

LARGEST_CODE = 7
INT8_ACTIVATIONS = 4
"""ONNX Runtime's accuracy_level of that name."""


def quantise_groups(weight: "Tensor", group_size: int, largest_code: int) -> "tuple[Tensor, Tensor]":
    """Symmetric codes of each row's groups of `group_size` inputs: w ≈ s * q, s = max|w| / largest_code over the group.

    Args:
        weight: (out, in), finite.

    Returns:
        codes (out, groups * group_size) int8 in [-largest_code, largest_code], zeros behind the last input, and scale
        (out, groups) float32; an all-zero group gets scale 1.
    """
    import torch
    from torch.nn.functional import pad

    groups = pad(weight.float(), (0, -weight.shape[1] % group_size)).unflatten(1, (-1, group_size))
    scale = nonzero_scale(groups.abs().amax(dim=-1) / largest_code)
    codes = torch.round(groups / scale[..., None]).clamp(-largest_code, largest_code).to(torch.int8)
    return codes.flatten(1), scale


def encoded_groups(
    model: "nn.Module", group_size: int, largest_code: int, pack: "Callable[[Tensor], Tensor]"
) -> "dict[str, Tensor]":
    """The tensors to store: the packed codes and scales of the linear layers but the head, the rest in bfloat16."""
    tensors = stored_in(model, "bfloat16")
    for name, layer in linear_layers(model, skip=HEADS).items():
        del tensors[f"{name}.weight"]
        codes, scale = quantise_groups(layer.weight.detach(), group_size, largest_code)
        tensors[name + CODES], tensors[name + SCALE] = pack(codes), scale.bfloat16()
    return tensors


def packed(codes: "Tensor") -> "Tensor":
    """(out, in) codes in [-8, 7] as (out, in / 2) uint8: the even columns in the low half of each byte, plus 8."""
    import torch

    shifted = (codes + 8).to(torch.uint8)
    return shifted[:, ::2] | (shifted[:, 1::2] << 4)


def unpacked(stored: "Tensor") -> "Tensor":
    """What `packed` packed: (out, in) int8."""
    import torch

    return torch.stack([stored & 15, stored >> 4], dim=-1).flatten(1).to(torch.int8) - 8


class Int4(Quant):
    """4-bit weights with a scale for every group of inputs; linear layers without the head.

    cuda_graphs   codes of our own, which a compiled kernel makes bfloat16 in each call
    torch         codes of our own, on a CPU; the kernel multiplies bfloat16 activations, so the rest is bfloat16 too
    onnxruntime   MatMulNBits, which rounds activations to int8
    openvino      by NNCF; activations rounded to int8 in groups of 32. Embeddings and head in int8
    """

    id: ClassVar[str] = "quant/int4"
    group_size: Literal[32, 64, 128]

    @property
    def ways(self) -> dict[str, Way]:
        return {
            "torch": Way(("linear",), ("int4pack_mm",), ("cpu",)),
            "cuda_graphs": Way(("linear",)),
            "onnxruntime": Way(("linear", "head"), ("MatMulNBits",)),
            "openvino": Way(("linear", "head", "embeddings"), ("FullyConnectedCompressed",)),
        }

    @property
    def arithmetic(self) -> Arithmetic:
        return "bfloat16"

    def encode(self, model: "nn.Module") -> "dict[str, Tensor]":
        return encoded_groups(model, self.group_size, LARGEST_CODE, packed)

    def decode(self, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
        import torch

        from effcomp.quant.int4_linear import Int4Linear

        coded, floats = split_codes(tensors)
        load_floats(skeleton, floats)
        cast(skeleton, torch.bfloat16)
        layers = linear_layers(skeleton)
        for name, (codes, scale) in coded.items():
            layer = layers[name]
            skeleton.set_submodule(name, Int4Linear(unpacked(codes), scale, layer.bias, layer.in_features))
        return skeleton

    def decode_fused(self, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
        from effcomp.quant.fused_linear import ByGroup, placed

        coded, floats = split_codes(tensors)
        load_floats(skeleton, floats)
        layers = linear_layers(skeleton)
        return placed(
            skeleton,
            {name: ByGroup(*pair, layers[name].bias, layers[name].in_features) for name, pair in coded.items()},
        )

    def quantise_onnx(self, file: Path, samples: list[Batch]) -> None:
        from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

        quantiser = MatMulNBitsQuantizer(
            read_graph(file), bits=4, block_size=self.group_size, is_symmetric=True, accuracy_level=INT8_ACTIVATIONS
        )
        quantiser.process()
        quantiser.model.save_model_to_file(str(file), use_external_data_format=False)

    def quantise_openvino(self, model: "OpenVinoModel", samples: list[Batch]) -> "OpenVinoModel":
        import nncf

        return nncf.compress_weights(
            model,
            mode=nncf.CompressWeightsMode.INT4_SYM,
            ratio=1.0,
            group_size=self.group_size,
            advanced_parameters=nncf.AdvancedCompressionParameters(
                group_size_fallback_mode=nncf.GroupSizeFallbackMode.ADJUST
            ),
        )

    def openvino_settings(self) -> dict[str, str]:
        return {**super().openvino_settings(), "DYNAMIC_QUANTIZATION_GROUP_SIZE": "32"}
