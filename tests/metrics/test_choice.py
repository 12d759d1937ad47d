"""Scores are found by their modules, and what computes the chosen ones decides whether a result is stale."""

import shutil
from pathlib import Path

import pytest

import effcomp.metrics.choice
from effcomp.core.errors import UserError
from effcomp.core.store import Store
from effcomp.metrics.registry import METRICS, score
from tests.conftest import compose_parts
from tests.tiny_models import changed


def code_of(scores: str, store: Path) -> str:
    task = compose_parts(
        "model=smollm2", "task=continuation", f"task.metrics.scores={scores}", "task.headline=bleu"
    ).task
    found: str = task.scoring_key(Store(store))["metrics"]["code"]
    return found


def test_an_encoder_that_cannot_be_used_is_refused_before_any_work(
    tiny_bert: Path, tiny_gpt2: Path, tmp_path: Path
) -> None:
    def check(*overrides: str) -> None:
        metrics = ("task.metrics.scores=[bertscore,rougeL]", *(f"task.metrics.{one}" for one in overrides))
        compose_parts("model=smollm2", "task=continuation", *metrics).task.check()

    check(f"encoder={tiny_bert}", "encoder_layer=2")
    with pytest.raises(
        UserError, match=r"task.metrics.encoder_layer=7: model has the layers 0 to 6; give one of these"
    ):
        check("encoder_layer=7")
    with pytest.raises(UserError, match=r"task.metrics.encoder=\S+ has no .safetensors file"):
        check(f"encoder={shutil.copytree(tiny_bert, tmp_path / 'empty', ignore=lambda *_: ['model.safetensors'])}")
    with pytest.raises(UserError, match=r"task.metrics.encoder=\S+: .* does not know the architecture nothing"):
        check(f"encoder={changed(tiny_bert, tmp_path / 'unknown', model_type='nothing')}")
    with pytest.raises(UserError, match=r"task.metrics.encoder=\S+ is an encoder-decoder \(bert\)"):
        check(f"encoder={changed(tiny_bert, tmp_path / 'both', is_encoder_decoder=True)}")


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
