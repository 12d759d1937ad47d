"""Kernel names that were seen on each class of processor, and what each class lacks."""

import json
from typing import Any

import pytest

from effcomp.core.processors import INSTRUCTION_SETS, ComputeDtype, emulation, is_int8_product, multiplied
from tests.conftest import DATA

SEEN: list[dict[str, Any]] = json.loads((DATA / "kernels.json").read_text())
AVX2, ZEN4 = ("avx2",), ("avx2", "avx512f", "avx512_vnni", "avx512_bf16")
SAPPHIRE_RAPIDS = (*ZEN4, "avx_vnni", "avx512_fp16", "amx_int8", "amx_bf16")


@pytest.mark.parametrize("seen", SEEN, ids=lambda seen: f"{seen['processor']} {seen['library']} {seen['format']}")
def test_a_product_of_int8_is_recognised_on_every_processor(seen: dict[str, Any]) -> None:
    assert any(is_int8_product(kernel, "cpu") for kernel in seen["kernels"]) is seen["int8_products"]


@pytest.mark.parametrize(
    "seen",
    [seen for seen in SEEN if seen["library"] in {"openvino", "oneDNN"}],
    ids=lambda seen: f"{seen['processor']} {seen['library']} {seen['format']}",
)
def test_the_table_names_the_kernels_that_an_instruction_set_runs(seen: dict[str, Any]) -> None:
    expected = [part for one in INSTRUCTION_SETS if one.flag in seen["flags"] for part in one.kernels]
    products = [kernel for kernel in seen["kernels"] if kernel.startswith(("FullyConnected", "MatMul", "matmul"))]
    assert products
    for kernel in products:
        assert any(part in kernel for part in expected), kernel


def test_every_class_of_processor_has_kernels_that_were_seen() -> None:
    assert {seen["processor"] for seen in SEEN} >= {"AVX2", "AVX-512 VNNI", "AMX"}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (AVX2, {"float32", "int8"}),
        (ZEN4, {"float32", "int8", "bfloat16"}),
        (SAPPHIRE_RAPIDS, {"float32", "int8", "bfloat16", "float16"}),
        (("asimd", "asimdhp", "asimddp"), {"float32", "int8", "float16"}),
    ],
)
def test_a_processor_multiplies_what_its_instruction_sets_do(
    flags: tuple[str, ...], expected: set[ComputeDtype]
) -> None:
    assert multiplied(flags) == expected


def test_a_format_that_the_processor_lacks_is_named_with_what_it_takes() -> None:
    lacking = emulation("bfloat16", (), AVX2)
    assert lacking == "bfloat16 products (AVX-512 BF16, AMX bfloat16, Arm bfloat16)"
    assert emulation("bfloat16", (), ZEN4) is None
    assert emulation("float16", (), ZEN4) is not None, "AVX-512 alone converts float16 and does not multiply it"
    assert emulation(None, (), AVX2) is None


def test_an_operator_without_vector_code_counts_only_where_the_format_has_no_other() -> None:
    assert emulation(None, ("_int_mm",), AVX2) == "vector code for _int_mm (AVX-512)"
    assert emulation(None, ("_int_mm",), ZEN4) is None
    assert emulation(None, ("_int_mm", "bitsandbytes::int8_linear_matmul"), AVX2) is None
