"""A finished run on disk."""

from pathlib import Path

import numpy as np
import pytest

from effcomp.record.result import RAW_FILE, SERIES_FILE, Result
from effcomp.record.trace import GpuSample, Sample
from tests.conftest import records


def some_result() -> Result:
    gpu = GpuSample(utilisation_percent=80, temperature_c=40, power_w=300, memory_bytes=10)
    return Result(
        record=records("nf4")[0],
        training_curve=[
            {"step": 1, "loss": 0.7, "learning_rate": 1e-5, "seconds": 2.5},
            {"step": 5, "eval_loss": 0.6, "seconds": 0.5},  # a try that went on
        ],
        recovery_curve=[],
        trace=[Sample(0.25, 100, 99.0, gpu), Sample(0.75, 120, 97.0), Sample(1.5, 200, 98.0)],
        raw={"batch_1.variant": np.array([[1.0, 2.0]])},
        texts=[{"prompt": "Once", "reference": "upon a time", "baseline": "", "variant": "again,\nand\u2028again\x85"}],
        started_ms=1000,
        ended_ms=3000,
    )


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    result = some_result()
    result.write(tmp_path)
    read = Result.read(tmp_path)
    assert read.raw.pop("batch_1.variant").tolist() == result.raw.pop("batch_1.variant").tolist()
    assert read == result


@pytest.mark.parametrize("name", [RAW_FILE, SERIES_FILE])
def test_where_a_file_is_missing_it_is_not_read(tmp_path: Path, name: str) -> None:
    some_result().write(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError):
        Result.read(tmp_path)
