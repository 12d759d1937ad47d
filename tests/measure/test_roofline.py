"""The arithmetic of a call by hand, and rates that a machine can have."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from effcomp.core import machine
from effcomp.core.device import Device
from effcomp.measure.roofline import best_rate, least_seconds, machine_rates, operations
from tests.small_artifacts import write_small

CPU = Device(name="cpu", kind="cpu", threads=1)


def test_the_operations_of_a_bert_are_those_counted_by_hand(tiny_bert: Path, tmp_path: Path) -> None:
    folder = write_small(tiny_bert, tmp_path / "none", "sequence_classification")
    rows, tokens, width, inner = 3, 20, 64, 128
    linear = rows * tokens * (4 * width * width + 2 * width * inner)
    attention = 2 * rows * tokens * tokens * width
    head = rows * (width * width + width * 2)
    assert operations(folder, (rows, tokens)) == 2 * (2 * (linear + attention) + head)


def test_a_number_format_does_not_change_the_arithmetic(tiny_bert: Path, tmp_path: Path) -> None:
    counts = {
        quant: operations(write_small(tiny_bert, tmp_path / quant, "sequence_classification", quant), (1, 10))
        for quant in ("none", "nf4", "int8_dynamic")
    }
    assert len(set(counts.values())) == 1


@pytest.mark.parametrize("model", ["tiny_distilbert", "tiny_gpt2", "tiny_gptneo", "tiny_bitnet"])
def test_the_operations_of_every_family_grow_with_the_batch(
    model: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    head = "masked_lm" if model == "tiny_distilbert" else "causal_lm"
    folder = write_small(request.getfixturevalue(model), tmp_path / model, head)
    assert 0 < 4 * operations(folder, (1, 8)) == operations(folder, (4, 8))


def test_the_rates_of_this_machine_are_measured() -> None:
    rates = machine_rates(CPU)
    products = {"float32", "bfloat16", "float16", "int8"}
    assert set(rates) == {*products, "bytes_per_s", "cache_bytes", "cache_bytes_per_s"}
    assert all(1e8 < rates[name] < 1e15 for name in {*products, "bytes_per_s", "cache_bytes_per_s"}), rates
    emulated = [name for name in ("bfloat16", "float16", "int8") if not machine.multiplies(name, CPU)]
    assert all(rates[name] == rates["float32"] for name in emulated), "what is emulated is not measured"
    assert all(rates[name] >= rates["float32"] for name in products)


def test_a_product_that_takes_long_is_not_tried_in_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """As bfloat16 on AVX2, where a product of two matrices of 2,048 took 19 s."""
    monkeypatch.setattr("effcomp.measure.roofline.SECONDS", 0.1)
    sides = []

    def slow(side: int) -> Callable[[], None]:
        sides.append(side)
        return lambda: time.sleep(0.02 * (side / 128) ** 3)

    assert best_rate([slow], CPU) <= 2 * 128**3 / 0.02
    assert sides == [128]


def test_bytes_in_the_cache_are_read_at_its_rate() -> None:
    rates = {"float32": 100.0, "bytes_per_s": 1.0, "cache_bytes": 10.0, "cache_bytes_per_s": 5.0}
    assert least_seconds(0, 10, "float32", rates) == 2
    assert least_seconds(0, 15, "float32", rates) == 2 + 5
    assert least_seconds(1000, 15, "float32", rates) == 10


def test_arithmetic_that_cannot_be_counted_is_not_measured_and_takes_nothing_with_it(
    tiny_bert: Path, tmp_path: Path
) -> None:
    from effcomp.measure.worker import WorkerCommands
    from tests.architectures import write_model

    write_model("deberta", "sequence_classification", tiny_bert, tmp_path / "deberta")
    artifact = write_small(tmp_path / "deberta", tmp_path / "artifact", "sequence_classification")
    assert set(WorkerCommands().operations(str(artifact), [(1, 8)])) == {"reason"}
