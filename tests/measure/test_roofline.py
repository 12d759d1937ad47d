"""The arithmetic of a call by hand, and rates that a machine can have."""

from pathlib import Path

import pytest

from effcomp.core.device import Device
from effcomp.measure.roofline import machine_rates, operations
from tests.conftest import write_small


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
    rates = machine_rates(Device(name="cpu", kind="cpu", threads=1))
    assert set(rates) == {"float32", "bfloat16", "float16", "int8", "bytes_per_s"}
    assert all(1e8 < rate < 1e15 for rate in rates.values()), rates
