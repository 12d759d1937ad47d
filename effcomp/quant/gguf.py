"""llama.cpp's number formats, in GGUF."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from effcomp.quant.base import Quant
from effcomp.quant.floats import Float
from effcomp.quant.gguf_types import FLOATS, NARROW, GgufType, base_kind, bits, tensor_kind
from effcomp.quant.lowering import Lowering, lowers

FLOAT_TYPES: dict[str, GgufType] = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}
TOLERANCE = 0.01
"""Tolerance of float types: llama.cpp reads some activation functions from a table in float16."""


class Gguf(Quant):
    """Weights and embeddings in a type of llama.cpp, as its quantize tool names it: q4_k_m, q8_0, tq2_0.

    A type with `_m`, `_s` or `_l` is a mixture: tensors whose errors cost most have more bits. Rows that do not fill
    a type's blocks of 256 weights get a type with blocks of 32: Q5_0 for Q4_K, Q8_0 for Q6_K. Products are of int8:
    activations are quantized in each call, in blocks of 32 or 256.
    """

    id: ClassVar[str] = "quant/gguf"
    packages: ClassVar[tuple[str, ...]] = ("xllamacpp", "gguf")
    type: GgufType
    """Type of the weights, as llama.cpp's quantize tool names it: q4_k_m, q8_0, q4_0, f16."""
    samples: Annotated[int, Field(ge=0)]
    """Training examples of the importance matrix; 0: all errors count alike. (effcomp.artifact.gguf.mean_squares)"""

    @property
    def calibration_samples(self) -> int:
        return self.samples


@dataclass(frozen=True, kw_only=True)
class GgufLowering(Lowering):
    """Lowering for the runtime that reads model.gguf."""

    source: GgufType | Path
    """Type that weights are written in, or a GGUF file that is taken as it is."""

    @property
    def writes(self) -> Callable[..., Any]:
        return tensor_kind


@lowers(Gguf, "llama_cpp")
def to_gguf(quant: Gguf) -> GgufLowering:
    return lowering_of(quant.type)


@lowers(Float, "llama_cpp")
def float_to_gguf(quant: Float) -> GgufLowering:
    return lowering_of(FLOAT_TYPES[quant.dtype])


def lowering_of(of_type: GgufType) -> GgufLowering:
    kind = base_kind(of_type)
    is_float = kind in FLOATS
    return GgufLowering(
        applies_to=() if of_type == "f32" else ("embeddings", "linear"),
        expected_kernels=() if of_type == "f32" else (f"^MUL_MAT ({'|'.join((kind, NARROW.get(kind, kind)))})",),
        devices=("cpu",),
        compute_dtype="float32" if is_float else "int8",
        tolerance=TOLERANCE if is_float else 2.0 ** (1 - bits(kind)),
        source=of_type,
    )
