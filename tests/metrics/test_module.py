"""The local `evaluate` module, as a user loads it."""

from pathlib import Path

import evaluate
import pytest

from effcomp.metrics.coherence import calibrate, coherence
from effcomp.metrics.encoder import MINILM, SentenceEncoder, minilm_folder
from tests.conftest import ROOT
from tests.metrics.test_coherence import TEXTS

FOLDER = ROOT / "effcomp/metrics/module/coherence"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> evaluate.Metric:
    monkeypatch.setattr("evaluate.config.HF_MODULES_CACHE", tmp_path / "modules")
    return evaluate.load(str(FOLDER), cache_dir=str(tmp_path / "cache"))


def test_evaluate_loads_the_folder_and_gives_the_same_numbers(module: evaluate.Metric) -> None:
    encoder = SentenceEncoder(minilm_folder(), MINILM)
    expected = coherence(TEXTS[:6], calibrate(TEXTS[6:], encoder, seed=0), encoder)
    found = module.compute(predictions=TEXTS[:6], corpus=TEXTS[6:])
    assert found["scores"] == pytest.approx(expected.per_example.tolist())
    assert found["name"] == expected.name
    assert found["low"] < found["coherence"] < found["high"]
