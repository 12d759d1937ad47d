"""Pruning to a speed-up: layers are timed through the run's runtime, before any training."""

import json
from pathlib import Path

import pytest

from effcomp.core.errors import UserError
from effcomp.core.store import Store
from tests.conftest import MOVIES
from tests.pipeline.test_run import run_tiny

FEW = (f"task.data_dir={MOVIES}", "task.test_size=20")
BUDGET = (*FEW, "prune=budget", "prune.samples=20")


def test_layers_are_timed_once_and_decide_what_is_possible(tiny_bert: Path, tmp_path: Path) -> None:
    overrides, store = [f"model.path={tiny_bert}", *BUDGET], Store(tmp_path / "store")
    with pytest.raises(UserError, match=r"prune.target=speedup:1e9 is not reached .*; the largest possible is \d+\.\d"):
        run_tiny(tmp_path, *overrides, "prune.target=speedup:1e9")
    assert not (store.root / "checkpoint").exists(), "it is refused before the training"
    (table,) = (store.root / "layer_costs").glob("*/costs.json")
    measured = table.read_text()
    record = run_tiny(tmp_path, *overrides, "prune.target=latency_ms:100000").record
    assert [file.read_text() for file in (store.root / "layer_costs").glob("*/costs.json")] == [measured]
    predicted, rows = record.speed.predicted, json.loads(measured)
    assert predicted is not None
    assert predicted.shapes == [[2, 128], [2, 128]], "nothing has to leave"
    baseline_ms = rows[0]["speedup"] * rows[0]["latency_ms"]
    assert predicted.speedup * predicted.latency_p50_ms == pytest.approx(baseline_ms)


def test_bytes_of_the_artifact_are_kept_within_their_limit(tiny_bert: Path, tmp_path: Path) -> None:
    record = run_tiny(tmp_path, f"model.path={tiny_bert}", *BUDGET, "prune.target=artifact_bytes:0.8").record
    assert record.cost.size.artifact_bytes <= 0.8 * record.cost.size.baseline_artifact_bytes
    assert record.speed.predicted is None


def test_after_another_pruning_the_refusal_names_the_nested_target(tiny_bert: Path, tmp_path: Path) -> None:
    nested = [*FEW, "prune=vocabulary", "prune@prune.then=budget", "prune.then.target=artifact_bytes:0.01"]
    with pytest.raises(UserError, match=r"^prune.then.target=artifact_bytes:0.01 .*; the smallest share possible is 0"):
        run_tiny(tmp_path, f"model.path={tiny_bert}", *nested)
    assert not (tmp_path / "store/checkpoint").exists()
