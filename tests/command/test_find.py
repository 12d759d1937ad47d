"""`effcomp find`: its words as overrides of the sweeper, and its dry run."""

from pathlib import Path

import pytest

from effcomp.command.find import translated
from tests.conftest import run_effcomp


def test_the_goal_and_the_time_are_settings_of_the_sweeper_and_all_else_is_of_the_runs() -> None:
    words = ["model=minilm", "max_accuracy_drop=0.5", "minimize=latency_p50_ms", "budget_minutes=20", "--dry-run"]
    words += ["effort=train"]
    assert translated(words) == [
        'hydra.sweeper.goal="max_accuracy_drop=0.5 minimize=latency_p50_ms"',
        "model=minilm",
        "hydra.sweeper.budget_minutes=20",
        "hydra.sweeper.dry_run=true",
        "hydra.sweeper.effort=train",
    ]


def test_without_a_goal_the_sweepers_own_stays() -> None:
    assert translated(["quant=none,bf16"]) == ["quant=none,bf16"]


def test_a_dry_run_prints_the_plan_and_leaves_no_file(tiny: list[str], tmp_path: Path) -> None:
    words = ["quant=int8_dynamic", "prune=none", "runtime=torch,onnxruntime", "max_artifact_bytes=1e6"]
    words += ["quant.granularity=per_tensor", "max_accuracy_drop=1"]  # the baseline's float32 has no such setting
    ran = run_effcomp(
        "find", *tiny, *words, "minimize=latency_p50_ms", "--dry-run", "tracking=none", cwd=tmp_path, module="effcomp"
    )
    assert ran.code == 0, ran.stderr
    goal, doubt, pairs, first, *_ = ran.stdout.splitlines()
    assert goal == "goal: max_artifact_bytes=1e6 max_accuracy_drop=1 minimize=latency_p50_ms"
    assert doubt.startswith("max_accuracy_drop=1: the 10 test examples that confirm cannot show it")
    assert [pairs, first] == [
        "2 combinations of number format and runtime run here:",
        "  int8_dynamic  torch, onnxruntime",
    ]
    assert ran.stdout.endswith("expected time: unknown until the first row\n")
    assert not list(tmp_path.glob("multirun/2*"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("minimize=accuracy", "hydra.sweeper.goal: minimize=accuracy: higher accuracy is better; write"),
        ("max_accuracy_drop=1", "give one objective or two different ones, not 0"),
        ("budget_minutes=0", "hydra.sweeper.budget_minutes=0: give a number of minutes above 0"),
        ("effort=all", "hydra.sweeper.effort=all: choose of compress, train"),
        ("seed=0,1", "seed=0,1: a search has choices of quant, prune, runtime"),
        ("test_slice=[0,0.5]", "a search cuts the test itself"),
    ],
)
def test_a_wrong_word_is_one_line_and_exit_code_2(wrong: str, said: str, tmp_path: Path) -> None:
    ran = run_effcomp("find", "tracking=none", wrong, cwd=tmp_path, module="effcomp")
    assert ran.code == 2, ran.stderr
    assert said in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1
