"""Floating-point formats: float32 as trained, bfloat16 and float16."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from effcomp.core.batches import Batch
from effcomp.quant.base import EVERY, Arithmetic, Quant, Way, cast, load_floats, stored_in

if TYPE_CHECKING:
    from openvino import Model as OpenVinoModel
    from torch import Tensor, nn


class Float(Quant):
    """Weights and activations in one floating-point type.

    OpenVINO keeps halves on disk as float16, whose 11 bits hold a bfloat16's 8, and computes in `dtype`.
    """

    id: ClassVar[str] = "quant/float"
    dtype: Literal["float32", "bfloat16", "float16"]

    @property
    def ways(self) -> dict[str, Way]:
        match self.dtype:
            case "float32":
                return {runtime: Way() for runtime in ("torch", "compile", "cuda_graphs", "onnxruntime", "openvino")}
            case "bfloat16":
                way = Way(EVERY, arithmetic="bfloat16")
                return {
                    **dict.fromkeys(("torch", "compile", "cuda_graphs"), way),
                    "openvino": way._replace(promises=("_bf16", "_BF16")),
                }
            case "float16":
                return dict.fromkeys(("torch", "compile", "cuda_graphs"), Way(EVERY, arithmetic="float16"))

    @property
    def arithmetic(self) -> Arithmetic:
        return self.dtype

    def encode(self, model: "nn.Module") -> "dict[str, Tensor]":
        return stored_in(model, self.dtype)

    def decode(self, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
        import torch

        load_floats(skeleton, tensors)
        return cast(skeleton, getattr(torch, self.dtype))

    def quantise_onnx(self, file: Path, samples: list[Batch]) -> None:
        return

    def quantise_openvino(self, model: "OpenVinoModel", samples: list[Batch]) -> "OpenVinoModel":
        return model

    def openvino_settings(self) -> dict[str, str]:
        hint = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}[self.dtype]
        return {**super().openvino_settings(), "INFERENCE_PRECISION_HINT": hint}
