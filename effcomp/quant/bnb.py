"""bitsandbytes formats: LLM.int8(), 4-bit NormalFloat and 4-bit float."""

import logging
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from effcomp.quant.base import (
    HEADS,
    Arithmetic,
    Quant,
    Way,
    linear_layers,
    load_floats,
    stored_in,
    stored_state,
)

if TYPE_CHECKING:
    from torch import Tensor, nn


LARGEST_CODE = 127


def quiet() -> None:
    """Let bitsandbytes be silent: it logs a line for each float32 input of each layer, though the cast is part of the
    format, and one at import."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


class Int8Bnb(Quant):
    """LLM.int8(): vector-wise int8 weights and activations (Dettmers et al. 2022, sections 3.1 and 3.2).

    Linear layers behind the embeddings, without the head.
    """

    id: ClassVar[str] = "quant/int8_bnb"
    packages: ClassVar[tuple[str, ...]] = ("bitsandbytes",)
    capability: ClassVar[tuple[int, int]] = (7, 5)  # of its int8 products
    threshold: Annotated[float, Field(ge=0)]
    """Activation columns with a value above this are computed in float (0: none)."""

    @property
    def ways(self) -> dict[str, Way]:
        return {
            "torch": Way(("linear",), ("_int_mm", "bitsandbytes::int8_linear_matmul", "igemm")),
            "cuda_graphs": Way(("linear",), arithmetic="bfloat16"),
        }

    @property
    def arithmetic(self) -> Arithmetic:
        return "int8"

    def encode(self, model: "nn.Module") -> "dict[str, Tensor]":
        import torch
        from bitsandbytes.functional import int8_vectorwise_quant

        tensors = stored_state(model)
        for name in linear_layers(model, skip=HEADS):
            weight = tensors.pop(f"{name}.weight")
            codes, largest, _ = int8_vectorwise_quant(weight.to(torch.float16))
            tensors[f"{name}.CB"], tensors[f"{name}.SCB"] = codes, largest
        return tensors

    def coded_layers(self, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "dict[str, nn.Linear]":
        """Put what is not coded in its place; the layers that are coded, by name."""
        load_floats(skeleton, {name: tensor for name, tensor in tensors.items() if not name.endswith((".CB", ".SCB"))})
        return {name: layer for name, layer in linear_layers(skeleton).items() if f"{name}.CB" in tensors}

    def decode(self, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
        from bitsandbytes.nn import Int8Params, Linear8bitLt

        for name, layer in self.coded_layers(skeleton, tensors).items():
            quantised = Linear8bitLt(
                layer.in_features,
                layer.out_features,
                bias=False,
                has_fp16_weights=False,
                threshold=self.threshold,
                device="meta",
            )
            quantised.weight = Int8Params(
                tensors[f"{name}.CB"],
                requires_grad=False,
                has_fp16_weights=False,
                CB=tensors[f"{name}.CB"],
                SCB=tensors[f"{name}.SCB"],
            )
            quantised.bias = layer.bias
            skeleton.set_submodule(name, quantised)
        return skeleton

    def decode_fused(self, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
        """bitsandbytes' codes and scales, without its kernels: activations are bfloat16."""
        from effcomp.quant.fused_linear import ByRow, placed

        return placed(
            skeleton,
            {
                name: ByRow(tensors[f"{name}.CB"], tensors[f"{name}.SCB"][:, None] / LARGEST_CODE, layer.bias)
                for name, layer in self.coded_layers(skeleton, tensors).items()
            },
        )

    def moved(self, model: "nn.Module", place: str) -> "nn.Module":
        from bitsandbytes.nn import Linear8bitLt

        for layer in model.modules():
            if isinstance(layer, Linear8bitLt):  # moved as a part of its model, its codes and scales would stay behind
                layer.weight = layer.weight.to(place)
        return super().moved(model, place)


class FourBit(Quant):
    """4 bits in blocks, the scales themselves in 8 bit (Dettmers et al. 2023, QLoRA, section 3). The 16 values are
    those of NormalFloat, the quantiles of a normal distribution, or of a float with 2 bits of exponent and 1 bit of
    mantissa.

    Linear layers behind the embeddings, without the head; computed in bfloat16 or float32 after
    dequantisation inside the kernel. The other parameters are stored in bfloat16.
    """

    id: ClassVar[str] = "quant/four_bit"
    packages: ClassVar[tuple[str, ...]] = ("bitsandbytes",)
    capability: ClassVar[tuple[int, int]] = (6, 0)  # of bitsandbytes' 4-bit kernels
    values: Literal["nf4", "fp4"]
    block_size: Literal[64, 128]
    double_quant: bool
    """Store the scales of the blocks in 8 bit as well."""

    @property
    def ways(self) -> dict[str, Way]:
        return {"torch": Way(("linear",), ("gemv_4bit", "gemm_4bit")), "cuda_graphs": Way(("linear",))}

    @property
    def arithmetic(self) -> Arithmetic:
        return "bfloat16"

    def encode(self, model: "nn.Module") -> "dict[str, Tensor]":
        from bitsandbytes.functional import quantize_4bit

        tensors = stored_in(model, "bfloat16")
        for name, layer in linear_layers(model, skip=HEADS).items():
            codes, state = quantize_4bit(
                layer.weight.detach(),
                blocksize=self.block_size,
                compress_statistics=self.double_quant,
                quant_type=self.values,
            )
            tensors[f"{name}.weight"] = codes
            tensors.update({f"{name}.weight.{key}": value for key, value in state.as_dict(packed=True).items()})
        return tensors

    def decode(self, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
        import torch
        from bitsandbytes.nn import Linear4bit, Params4bit

        coded = self.load_floats_of(skeleton, tensors)
        skeleton.float()
        for name, state in coded.items():
            layer = skeleton.get_submodule(name)
            quantised = Linear4bit(
                layer.in_features,
                layer.out_features,
                bias=False,
                compute_dtype=torch.float32,
                quant_type=self.values,
                device="meta",
            )
            # bitsandbytes' packed kernel wants whole blocks of inputs and runs of 32 outputs, which pruning may break.
            quantised.support_avx512bf16_for_cpu &= not (
                quantised.in_features % self.block_size or quantised.out_features % 32
            )
            quantised.weight = Params4bit.from_prequantized(
                tensors[f"{name}.weight"], state, device="cpu", module=quantised
            )
            quantised.bias = layer.bias
            skeleton.set_submodule(name, quantised)
        return skeleton

    def load_floats_of(self, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "dict[str, dict[str, Tensor]]":
        """Put what is not coded in its place; what bitsandbytes needs beside the codes, by the name of the layer."""
        coded: dict[str, dict[str, Tensor]] = {}
        for name in linear_layers(skeleton):
            prefix = f"{name}.weight."
            if state := {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}:
                coded[name] = state
        stored = {f"{name}.weight.{key}" for name, state in coded.items() for key in state}
        stored |= {f"{name}.weight" for name in coded}
        load_floats(skeleton, {name: tensor for name, tensor in tensors.items() if name not in stored})
        return coded

    def decode_fused(self, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
        """bitsandbytes' codes, without its kernels."""
        from bitsandbytes.functional import QuantState, dequantize_blockwise

        from effcomp.quant.fused_linear import ByTable, FusedLinear, placed

        coded, layers = self.load_floats_of(skeleton, tensors), dict[str, FusedLinear]()
        for name, layer in linear_layers(skeleton).items():
            if name in coded:
                state = QuantState.from_dict(coded[name], device="cpu")
                scale = state.absmax
                if state.nested:
                    scale = dequantize_blockwise(scale, state.state2) + state.offset
                shape = (layer.out_features, layer.in_features)
                layers[name] = ByTable(tensors[f"{name}.weight"].flatten(), scale, state.code, layer.bias, shape)
        return placed(skeleton, layers)
