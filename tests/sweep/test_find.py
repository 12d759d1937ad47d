"""hydra/sweeper=find from a command to its answer, and the same command again."""

import json
from pathlib import Path

import mlflow
import pytest

from effcomp.record import Record
from tests.conftest import run_effcomp

SHARED = {"checkpoint": 1, "artifact": 2, "tokens": 2, "outputs": 4}
"""Entries that a search makes of one candidate: a training; the artifacts of the baseline and of the candidate, which
the look and the confirmation share; token ids of each half of the test, and the predictions of both artifacts there."""


def test_a_search_answers_and_the_same_command_again_measures_nothing(tiny: list[str], tmp_path: Path) -> None:
    space = ["quant=none,int8_dynamic", "prune=none", "runtime=torch", "device.threads=1"]
    goal = 'hydra.sweeper.goal="minimize=artifact_bytes max_accuracy_drop=90"'
    first, again = (
        run_effcomp("-m", "hydra/sweeper=find", goal, *tiny, *space, *extra, cwd=tmp_path)
        for extra in ([], ["tracking=none"])
    )
    assert (first.code, again.code) == (0, 0), first.stderr
    looked, confirmed = (Record.from_json(line) for line in first.stdout.splitlines())
    assert (looked.choices["bench"], looked.config["test_slice"]) == ("quick", [0, 0.5])
    assert (confirmed.choices["bench"], confirmed.config["test_slice"]) == ("standard", [0.5, 1])
    assert looked.truth.artifact == confirmed.truth.artifact
    made = {kind: len(list((tmp_path / "multirun/store" / kind).glob("*/"))) for kind in SHARED}
    assert made == SHARED
    assert first.stderr.count(" fine-tuning ") == 1
    assert first.stderr.count(" compressing: ") == SHARED["artifact"]
    assert " compressing: " not in again.stderr
    assert "best  int8_dynamic: " in first.stderr
    assert first.stderr.index("recommended for") > first.stderr.index("page ")
    assert "\nload it   import effcomp" in first.stderr
    assert "mlflow models serve" in first.stderr
    assert "mlflow models serve" not in again.stderr, "not tracked"

    answers = [json.loads(file.read_text()) for file in sorted(tmp_path.glob("multirun/2*/*/results/answer.json"))]
    winners = [one["winners"][0]["overrides"] for one in answers]
    assert winners == [["quant=int8_dynamic", "prune=none", "runtime=torch"]] * 2
    times = [[Record.from_json(line).truth.time for line in ran.stdout.splitlines()] for ran in (first, again)]
    assert times[0] == times[1], "from the store"

    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("effcomp").experiment_id])
    (parent,) = [run for run in runs if run.data.tags["kind"] == "sweep"]
    assert parent.info.run_name == "find minimize=artifact_bytes max_accuracy_drop=90"
    assert "best  int8_dynamic: " in parent.data.tags["mlflow.note.content"]
    assert len([run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]) == 2
    logged = [
        file.path
        for folder in client.list_artifacts(parent.info.run_id)
        for file in client.list_artifacts(parent.info.run_id, folder.path if folder.is_dir else None)
    ]
    assert {"answer.txt", "answer.json", "search.png"} <= {Path(path).name for path in logged}


@pytest.mark.parametrize(
    ("in_the_way", "said"),
    [("claims", "error: no configuration came through"), ("0", "error: FileExistsError: ")],
    ids=["each candidate fails", "the search fails"],
)
def test_a_search_without_an_answer_ends_with_4(in_the_way: str, said: str, tiny: list[str], tmp_path: Path) -> None:
    """1 says that every candidate breaks a limit. A file lies where a candidate needs a folder."""
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / in_the_way).touch()
    words = [*tiny, "quant=int8_dynamic", "prune=none", "runtime=torch", "tracking=none"]
    goal = 'hydra.sweeper.goal="minimize=artifact_bytes"'
    folder = f"hydra.sweep.dir={tmp_path}/sweep"
    ran = run_effcomp("-m", "hydra/sweeper=find", goal, *words, folder, cwd=tmp_path)
    assert ran.code == 4, ran.stderr
    assert said in ran.stderr
