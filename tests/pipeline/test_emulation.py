"""Number formats that a processor emulates: left out of sweeps, warned of alone."""

import logging

import pytest

from effcomp.core.errors import Skipped
from effcomp.pipeline.emulation import check_emulated
from tests.conftest import compose_parts

AVX2, VNNI = ("avx2",), ("avx2", "avx512f", "avx512_vnni", "avx512_bf16")


def check(flags: tuple[str, ...], in_sweep: bool, *overrides: str) -> None:
    parts = compose_parts("device=cpu", *overrides)
    check_emulated(parts.quant, parts.runtime, parts.device.resolved(), flags, in_sweep)


@pytest.mark.parametrize(
    ("quant", "lacking"),
    [
        (["quant=bf16"], "bfloat16 products"),
        (["quant=bf16", "runtime=openvino"], "bfloat16 products"),
        (["quant=fp16"], "float16 products"),
    ],
)
def test_a_sweep_leaves_out_what_the_processor_emulates(quant: list[str], lacking: str) -> None:
    with pytest.raises(Skipped, match=rf"this processor has no {lacking} .*; device\.emulated=true measures it"):
        check(AVX2, True, *quant)


@pytest.mark.parametrize("quant", ["none", "int8_dynamic", "int8_scratch", "int8_bnb", "nf4", "int4"])
def test_a_sweep_keeps_what_runs_without_bfloat16(quant: str) -> None:
    check(AVX2, True, f"quant={quant}")


def test_a_sweep_keeps_products_of_int8_that_are_compiled_for_the_processor() -> None:
    check(AVX2, True, "quant=int8_scratch", "quant.activations=int8")
    check(AVX2, True, "quant=ternary")


def test_nothing_is_left_out_where_the_processor_multiplies_the_type() -> None:
    check(VNNI, True, "quant=bf16")
    check(VNNI, True, "quant=int8_scratch", "quant.activations=int8")


@pytest.mark.parametrize(("in_sweep", "emulated"), [(False, "false"), (True, "true")])
def test_alone_or_asked_for_it_runs_after_a_warning_of_the_cost(
    in_sweep: bool, emulated: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        check(AVX2, in_sweep, "quant=bf16", f"device.emulated={emulated}")
    assert "this processor has no bfloat16 products" in caplog.text
    assert "times as long as in float32" in caplog.text
