"""bitsandbytes formats: LLM.int8(), 4-bit NormalFloat and 4-bit float."""

import logging
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from effcomp.quant.base import Quant
from effcomp.quant.lowering import TensorLowering, lowers
from effcomp.quant.tensors import body_layers, linear_layers, load_floats, stored_in, stored_state

if TYPE_CHECKING:
    from torch import Tensor, nn

LARGEST_CODE = 127


def quiet() -> None:
    """Silence bitsandbytes: it logs a line for each float32 input of each layer, though the cast is part of the format,
    and one at import."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


class Int8Bnb(Quant):
    """LLM.int8(): vector-wise int8 weights and activations (Dettmers et al. 2022, sections 3.1 and 3.2).

    Linear layers after the embeddings, without the head. Under cuda_graphs activations are bfloat16.
    """

    id: ClassVar[str] = "quant/int8_bnb"
    packages: ClassVar[tuple[str, ...]] = ("bitsandbytes",)
    threshold: Annotated[float, Field(ge=0)]
    """Activation columns with a value above this are computed in float (0: none)."""


def encode_int8(quant: Int8Bnb, model: "nn.Module") -> "dict[str, Tensor]":
    import torch
    from bitsandbytes.functional import int8_vectorwise_quant

    tensors = stored_state(model)
    for name in body_layers(model):
        weight = tensors.pop(f"{name}.weight")
        codes, largest, _ = int8_vectorwise_quant(weight.to(torch.float16))
        tensors[f"{name}.CB"], tensors[f"{name}.SCB"] = codes, largest
    return tensors


def load_int8_floats(skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "dict[str, nn.Linear]":
    """Put the tensors without codes in their places; return the layers that have codes, by name."""
    load_floats(skeleton, {name: tensor for name, tensor in tensors.items() if not name.endswith((".CB", ".SCB"))})
    return {name: layer for name, layer in linear_layers(skeleton).items() if f"{name}.CB" in tensors}


def decode_int8(quant: Int8Bnb, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    from bitsandbytes.nn import Int8Params, Linear8bitLt

    for name, layer in load_int8_floats(skeleton, tensors).items():
        quantized = Linear8bitLt(
            layer.in_features,
            layer.out_features,
            bias=False,
            has_fp16_weights=False,
            threshold=quant.threshold,
            device="meta",
        )
        quantized.weight = Int8Params(
            tensors[f"{name}.CB"],
            requires_grad=False,
            has_fp16_weights=False,
            CB=tensors[f"{name}.CB"],
            SCB=tensors[f"{name}.SCB"],
        )
        quantized.bias = layer.bias
        skeleton.set_submodule(name, quantized)
    return skeleton


def move_int8(model: "nn.Module", place: str) -> "nn.Module":
    """Move a model with bitsandbytes' int8 layers: moved with their model, their codes and scales would stay behind."""
    from bitsandbytes.nn import Linear8bitLt

    for layer in model.modules():
        if isinstance(layer, Linear8bitLt):
            layer.weight = layer.weight.to(place)
    return model.to(place)


def decode_int8_fused(quant: Int8Bnb, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    """Decode bitsandbytes' codes and scales without its kernels: activations are bfloat16."""
    from effcomp.quant.fused_linear import ByRow, placed

    return placed(
        skeleton,
        {
            name: ByRow(tensors[f"{name}.CB"], tensors[f"{name}.SCB"][:, None] / LARGEST_CODE, layer.bias)
            for name, layer in load_int8_floats(skeleton, tensors).items()
        },
    )


@lowers(Int8Bnb, "torch")
def int8_to_torch(quant: Int8Bnb) -> TensorLowering:
    return TensorLowering(
        applies_to=("linear",),
        expected_kernels=("_int_mm", "bitsandbytes::int8_linear_matmul", "igemm"),
        capability=(7, 5),
        compute_dtype="int8",
        tolerance=0.10,
        encode=encode_int8,
        decode=decode_int8,
        move=move_int8,
    )


@lowers(Int8Bnb, "cuda_graphs")
def int8_to_cuda_graphs(quant: Int8Bnb) -> TensorLowering:
    return TensorLowering(
        applies_to=("linear",),
        capability=(7, 5),
        compute_dtype="bfloat16",
        tolerance=0.10,
        encode=encode_int8,
        decode=decode_int8_fused,
    )


class FourBit(Quant):
    """4 bits in blocks, the scales themselves in 8 bit (Dettmers et al. 2023, QLoRA, section 3).

    The 16 values are those of NormalFloat, the quantiles of a normal distribution, or of a float with 2 exponent bits
    and 1 mantissa bit. Linear layers after the embeddings, without the head; computed in bfloat16 or float32 after
    dequantization inside the kernel. The other parameters are stored in bfloat16.
    """

    id: ClassVar[str] = "quant/four_bit"
    packages: ClassVar[tuple[str, ...]] = ("bitsandbytes",)
    values: Literal["nf4", "fp4"]
    """Grid of the 16 values: quantiles of a normal distribution, or a 4-bit float."""
    block_size: Literal[64, 128]
    """Weights that share a scale; fewer are more precise and take more bytes."""
    double_quant: bool
    """Store the scales of the blocks in 8 bit as well."""

    @property
    def tolerance(self) -> float:
        """Largest share of the logits' range that a logit may be off."""
        return {"nf4": 0.40, "fp4": 0.50}[self.values]


def encode_four_bit(quant: FourBit, model: "nn.Module") -> "dict[str, Tensor]":
    from bitsandbytes.functional import quantize_4bit

    tensors = stored_in(model, "bfloat16")
    for name, layer in body_layers(model).items():
        codes, state = quantize_4bit(
            layer.weight.detach(),
            blocksize=quant.block_size,
            compress_statistics=quant.double_quant,
            quant_type=quant.values,
        )
        tensors[f"{name}.weight"] = codes
        tensors.update({f"{name}.weight.{key}": value for key, value in state.as_dict(packed=True).items()})
    return tensors


def load_four_bit_floats(skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "dict[str, dict[str, Tensor]]":
    """Put the tensors without codes in their places; return bitsandbytes' state of each layer that has codes."""
    coded: dict[str, dict[str, Tensor]] = {}
    for name in linear_layers(skeleton):
        prefix = f"{name}.weight."
        if state := {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}:
            coded[name] = state
    stored = {f"{name}.weight.{key}" for name, state in coded.items() for key in state}
    stored |= {f"{name}.weight" for name in coded}
    load_floats(skeleton, {name: tensor for name, tensor in tensors.items() if name not in stored})
    return coded


def decode_four_bit(quant: Quant, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    """Put bitsandbytes' layers in the place of those that have codes, in float32 otherwise."""
    import torch
    from bitsandbytes.nn import Linear4bit, Params4bit

    coded = load_four_bit_floats(skeleton, tensors)
    skeleton.float()
    for name, state in coded.items():
        layer = skeleton.get_submodule(name)
        weight = Params4bit.from_prequantized(tensors[f"{name}.weight"], state, device="cpu")
        quantized = Linear4bit(
            layer.in_features,
            layer.out_features,
            bias=False,
            compute_dtype=torch.float32,
            quant_type=weight.quant_type,
            device="meta",
        )
        # bitsandbytes' packed kernel needs whole blocks of inputs and runs of 32 outputs, which pruning may break.
        quantized.support_avx512bf16_for_cpu &= not (
            quantized.in_features % weight.blocksize or quantized.out_features % 32
        )
        weight.module, quantized.quant_state = quantized, weight.quant_state
        quantized.weight = weight
        quantized.bias = layer.bias
        skeleton.set_submodule(name, quantized)
    return skeleton


def decode_four_bit_fused(quant: FourBit, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    """Decode bitsandbytes' codes without its kernels."""
    from bitsandbytes.functional import QuantState, dequantize_blockwise
    from torch.nn.functional import pad

    from effcomp.quant.fused_linear import ByTable, FusedLinear, placed

    coded, layers = load_four_bit_floats(skeleton, tensors), dict[str, FusedLinear]()
    for name, layer in linear_layers(skeleton).items():
        if name in coded:
            state = QuantState.from_dict(coded[name], device="cpu")
            scale = state.absmax
            if state.nested:
                scale = dequantize_blockwise(scale, state.state2) + state.offset
            shape, packed = (layer.out_features, layer.in_features), tensors[f"{name}.weight"].flatten()
            whole = scale.numel() * state.blocksize // 2  # the last block may be in part
            packed = pad(packed, (0, whole - packed.numel()))
            layers[name] = ByTable(packed, scale, state.code, layer.bias, shape)
    return placed(skeleton, layers)


@lowers(FourBit, "torch")
def four_bit_to_torch(quant: FourBit) -> TensorLowering:
    return TensorLowering(
        applies_to=("linear",),
        expected_kernels=("gemv_4bit", "gemm_4bit"),
        capability=(6, 0),
        compute_dtype="bfloat16",
        tolerance=quant.tolerance,
        encode=encode_four_bit,
        decode=decode_four_bit,
    )


@lowers(FourBit, "cuda_graphs")
def four_bit_to_cuda_graphs(quant: FourBit) -> TensorLowering:
    return TensorLowering(
        applies_to=("linear",),
        capability=(6, 0),
        compute_dtype="bfloat16",
        tolerance=quant.tolerance,
        encode=encode_four_bit,
        decode=decode_four_bit_fused,
    )
