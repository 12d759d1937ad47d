"""The registry of lowerings: which pairs it finds, and what it refuses."""

from typing import ClassVar

import pytest

from effcomp.core.errors import Skipped
from effcomp.quant.floats import Float, to_torch
from effcomp.quant.int4 import Int4
from effcomp.quant.int8_dynamic import Int8Dynamic
from effcomp.quant.lowering import OnnxLowering, TensorLowering, lowering, lowerings, lowers, writer

BFLOAT16 = Float(name="bf16", dtype="bfloat16")


class Scaled(Float):
    """A format that a test derives from another, so that no format of effcomp is changed."""

    id: ClassVar[str] = "tests/scaled"


def encode_otherwise(quant, model):
    return {}


def test_a_derived_format_runs_where_its_base_does() -> None:
    derived = Scaled(name="scaled", dtype="bfloat16")
    assert {"torch", "compile", "cuda_graphs", "openvino"} <= set(lowerings(derived))
    assert lowering(derived, "torch", TensorLowering) == lowering(BFLOAT16, "torch", TensorLowering)


def test_a_pair_depends_on_the_settings_of_the_format() -> None:
    assert "onnxruntime" in lowerings(Float(name="none", dtype="float32"))
    assert "onnxruntime" not in lowerings(BFLOAT16)


def test_a_pair_that_does_not_exist_is_refused_with_those_that_do() -> None:
    quant = Int4(name="int4", group_size=32)
    reason = "quant=int4 does not run on runtime=compile; it runs on: torch, cuda_graphs, onnxruntime, openvino"
    with pytest.raises(Skipped, match=reason):
        lowering(quant, "compile", TensorLowering)


def test_a_runtime_that_reads_other_files_is_an_error() -> None:
    quant = Int8Dynamic(name="int8_dynamic", granularity="per_channel")
    with pytest.raises(TypeError, match="runtime=onnxruntime is no TensorLowering"):
        lowering(quant, "onnxruntime", TensorLowering)
    assert writer(quant, OnnxLowering) == lowering(quant, "onnxruntime", OnnxLowering)


def test_a_pair_is_registered_once() -> None:
    with pytest.raises(ValueError, match="Float has a lowering for runtime=torch already"):
        lowers(Float, "torch")(to_torch)


def test_runtimes_that_read_the_same_file_must_share_what_writes_it() -> None:
    class Torn(Float):
        id: ClassVar[str] = "tests/torn"

    @lowers(Torn, "elsewhere")
    def to_elsewhere(quant: Torn) -> TensorLowering:
        return TensorLowering(
            applies_to=(),
            compute_dtype="float32",
            tolerance=1e-5,
            encode=encode_otherwise,
            decode=lowering(BFLOAT16, "torch", TensorLowering).decode,
        )

    with pytest.raises(ValueError, match="quant=torn: its TensorLowerings write different artifacts"):
        writer(Torn(name="torn", dtype="bfloat16"), TensorLowering)
