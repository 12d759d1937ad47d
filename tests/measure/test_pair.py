"""Both sides of a pair are called on the same batches, and a slower one is measured as slower."""

from pathlib import Path

import numpy as np
import pytest

from effcomp.core.statistics import NORMAL_975, PROCESS_NOISE
from effcomp.measure.measurement import summarise
from effcomp.measure.pair import PairedTimes


def test_the_summary_of_known_times() -> None:
    variant = np.tile(np.arange(1.0, 101.0), (10, 1))
    speed = summarise(PairedTimes(variant * 2, variant, mean_tokens=50, mean_width=60, gpu=None), batch_size=4, seed=0)
    assert speed.calls == 1000
    assert speed.latency_p50_ms.value == 50.5
    assert speed.latency_p99_ms == np.percentile(variant, 99)
    noise = NORMAL_975 * PROCESS_NOISE
    assert speed.speedup.value == 2
    assert speed.speedup.low == pytest.approx(2 * np.exp(-noise)), "what two other processes would show is in it"
    assert speed.speedup.high == pytest.approx(2 * np.exp(noise))
    assert speed.throughput_samples_per_s == 4 / 50.5 * 1000
    assert speed.throughput_tokens_per_s == 50 / 50.5 * 1000
    assert speed.baseline_latency_p50_ms == 101


def test_no_module_of_the_measured_process_imports_what_would_spoil_its_memory() -> None:
    source = Path(__file__).resolve().parents[2] / "effcomp"
    for file in (source / "measure/worker.py", source / "runtimes/torch.py", source / "artifact/folder.py"):
        assert not {"import mlflow", "import hydra", "import datasets"} & set(file.read_text().splitlines())
