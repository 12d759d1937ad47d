"""Floating-point formats: float32 as trained, bfloat16 and float16."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from effcomp.core.batches import Batch
from effcomp.quant.base import Quant
from effcomp.quant.lowering import OnnxLowering, OpenVinoLowering, TensorLowering, lowers
from effcomp.quant.tensors import ALL_PARAMETERS, ParameterGroup, cast, load_floats, stored_in

if TYPE_CHECKING:
    from openvino import Model as OpenVinoModel
    from torch import Tensor, nn

TOLERANCE = {"float32": 1e-5, "bfloat16": 0.05, "float16": 0.05}


class Float(Quant):
    """Weights and activations in one floating-point type.

    OpenVINO stores bfloat16 weights as float16, whose 11 bits hold a bfloat16's 8, and computes in bfloat16.
    """

    id: ClassVar[str] = "quant/float"
    dtype: Literal["float32", "bfloat16", "float16"]
    """Type of weights and activations."""

    @property
    def applies_to(self) -> tuple[ParameterGroup, ...]:
        """Parameters that are not float32."""
        return () if self.dtype == "float32" else ALL_PARAMETERS


def encode(quant: Float, model: "nn.Module") -> "dict[str, Tensor]":
    return stored_in(model, quant.dtype)


def decode(quant: Float, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
    import torch

    load_floats(skeleton, tensors)
    return cast(skeleton, getattr(torch, quant.dtype))


def keep_onnx(quant: Float, file: Path, samples: list[Batch]) -> None:
    return


def keep_openvino(quant: Float, model: "OpenVinoModel", samples: list[Batch]) -> "OpenVinoModel":
    return model


@lowers(Float, "torch", "compile", "cuda_graphs")
def to_torch(quant: Float) -> TensorLowering:
    return TensorLowering(
        applies_to=quant.applies_to,
        compute_dtype=quant.dtype,
        fixed_dtype=quant.dtype != "float32",
        tolerance=TOLERANCE[quant.dtype],
        encode=encode,
        decode=decode,
    )


@lowers(Float, "onnxruntime")
def to_onnx(quant: Float) -> OnnxLowering | None:
    if quant.dtype != "float32":
        return None
    return OnnxLowering(
        applies_to=quant.applies_to,
        compute_dtype=quant.dtype,
        tolerance=TOLERANCE[quant.dtype],
        rewrite=keep_onnx,
    )


@lowers(Float, "openvino")
def to_openvino(quant: Float) -> OpenVinoLowering | None:
    if quant.dtype == "float16":
        return None
    half = quant.dtype == "bfloat16"
    return OpenVinoLowering(
        applies_to=quant.applies_to,
        expected_kernels=("_bf16", "_BF16") if half else (),
        compute_dtype=quant.dtype,
        fixed_dtype=half,
        tolerance=TOLERANCE[quant.dtype],
        rewrite=keep_openvino,
        inference_precision="bf16" if half else "f32",
    )
