"""`effcomp recommend`: options and the goal in any order."""

from pathlib import Path

import pytest

from effcomp.command.recommend import main
from tests.conftest import ROOT

DEMO = str(ROOT / "benchmarks/demo.jsonl")
GOAL = ["minimize=artifact_bytes", "max_accuracy_drop=50"]


@pytest.mark.parametrize(
    "words",
    [
        [DEMO, *GOAL, "--where", "task=rotten_tomatoes"],
        [DEMO, "--where", "task=rotten_tomatoes", *GOAL],
        [DEMO, GOAL[0], "--all-columns", GOAL[1]],
    ],
)
def test_options_may_stand_before_and_behind_the_goal(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["effcomp recommend", "--out", str(tmp_path / "report"), *words])
    main()
    assert "artifact" in capsys.readouterr().out
    assert (tmp_path / "report/index.html").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([DEMO], "give a goal, say effcomp recommend minimize=latency_p50_ms"),
        ([DEMO, "minimum=artifact_bytes"], "minimum=artifact_bytes"),
    ],
)
def test_without_a_goal_or_with_a_misspelt_one_it_is_refused(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["effcomp recommend", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
