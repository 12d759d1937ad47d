"""`effcomp doctor`: the table of formats and runtimes on machines with and without what they need."""

import subprocess
import sys

import pytest

from effcomp.command.doctor import Gpu, matrix
from effcomp.pipeline.compose import choices
from effcomp.quant.base import Quant
from effcomp.runtimes.base import Runtime

AVX2 = ("avx2",)
AMPERE = Gpu("an older GPU", (8, 0), 40 * 10**9)
HOPPER = Gpu("a GPU", (9, 0), 80 * 10**9)


def cells(lines: list[str]) -> dict[str, dict[str, str]]:
    """Return the cells of the printed table by format and runtime."""
    table = [[line[start : start + 13].strip() for start in range(0, 7 * 13, 13)] for line in lines[: lines.index("")]]
    (_, *runtimes), *rows = table
    return {name: dict(zip(runtimes, row, strict=True)) for name, *row in rows}


def test_the_table_has_every_format_and_every_runtime() -> None:
    found = cells(matrix(AVX2, None))
    assert list(found) == [quant.name for quant in choices("quant", Quant)]
    assert list(found["none"]) == [runtime.name for runtime in choices("runtime", Runtime)]


def test_a_format_that_its_settings_decide_refers_to_their_help() -> None:
    lines = matrix(AVX2, None)
    number = cells(lines)["checkpoint"]["torch"]
    assert any(
        line.split(maxsplit=1) == [number, "as its settings say: effcomp help quant=checkpoint"] for line in lines
    )


def test_without_a_gpu_the_formats_of_gpus_do_not_run() -> None:
    lines = matrix(AVX2, None)
    number = cells(lines)["fp8"]["cuda_graphs"].removeprefix("no ")
    assert any(line.split(maxsplit=1) == [number, "needs an NVIDIA GPU that PyTorch sees"] for line in lines)


def test_a_format_that_the_processor_emulates_is_slow_with_the_reason() -> None:
    lines = matrix(AVX2, None)
    number = cells(lines)["bf16"]["torch"].removeprefix("slow ")
    (reason,) = [line for line in lines if line.startswith(number)]
    assert "this processor has no bfloat16 products" in reason
    assert cells(matrix((*AVX2, "avx512f", "avx512_bf16"), None))["bf16"]["torch"] == "CPU"


def test_a_gpu_runs_what_its_generation_multiplies() -> None:
    older, newer = matrix(AVX2, AMPERE), matrix(AVX2, HOPPER)
    assert cells(newer)["fp8"]["cuda_graphs"] == "GPU"
    assert cells(older)["fp8"]["cuda_graphs"].startswith("no (")
    assert any("compute capability 8.9" in line for line in older)
    assert cells(newer)["bf16"]["torch"] == "GPU", "the processor emulates it"
    assert cells(newer)["none"]["torch"] == "CPU GPU"


def test_a_runtime_without_its_library_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("effcomp.core.packages.find_spec", lambda name: None)  # as where nothing is installed
    assert "pip install 'effcomp'" in " ".join(" ".join(matrix(AVX2, None)).split())


def test_it_is_one_screen() -> None:
    ran = subprocess.run([sys.executable, "-m", "effcomp", "doctor"], capture_output=True, text=True, check=True)
    lines = ran.stdout.splitlines()
    assert len(lines) <= 45
    assert max(map(len, lines)) <= 100
    for what in ("processor", "GPU", "memory", "libraries", "torch 2."):
        assert what in ran.stdout
