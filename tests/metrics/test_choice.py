"""Scores are found by their modules, and what computes the chosen ones decides whether a result is stale."""

from pathlib import Path

import pytest

import effcomp.metrics.choice
from effcomp.core.store import Store
from effcomp.metrics.registry import METRICS, score
from tests.conftest import compose_parts


def code_of(scores: str, store: Path) -> str:
    task = compose_parts(
        "model=smollm2", "task=continuation", f"task.metrics.scores={scores}", "task.headline=bleu"
    ).task
    found: str = task.scoring_key(Store(store))["metrics"]["code"]
    return found


def test_every_module_that_registers_a_score_is_found() -> None:
    folder = Path(effcomp.metrics.__file__).parent
    registering = {f"effcomp.metrics.{file.stem}" for file in folder.glob("*.py") if "\n@score(" in file.read_text()}
    assert {metric.compute.__module__ for metric in METRICS.values()} == registering


def test_a_result_depends_on_the_code_of_its_own_scores_alone(tmp_path: Path) -> None:
    assert code_of("[bleu,chrf]", tmp_path) == code_of("[bleu]", tmp_path)  # of one module
    assert code_of("[bleu,distinct_1]", tmp_path) != code_of("[bleu]", tmp_path)


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="there is a score bleu already"):
        score("bleu")(METRICS["chrf"].compute)
