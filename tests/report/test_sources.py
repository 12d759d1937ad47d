"""Records of folders, files and MLflow: each measurement once, what is damaged refused in one line."""

import json
from pathlib import Path

import mlflow
import pytest

from effcomp.core.errors import UserError
from effcomp.report.sources import find, find_records
from effcomp.tracking.names import RECORD_TAG
from tests.conftest import DATA, run_effcomp

NF4 = (DATA / "records/nf4.json").read_text()
NONE = (DATA / "records/none.json").read_text()
CURVE = [{"step": 1, "loss": 0.7, "learning_rate": 1e-4}, {"step": 2, "eval_loss": 0.6}]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs, one with its series, and what the store keeps of one of them."""
    for name, text in (("0", NF4), ("1", NONE)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "record.json").write_text(text)
    series = {"training_curve": CURVE, "recovery_curve": [], "trace": [], "started_ms": 1}
    (tmp_path / "1/series.json").write_text(json.dumps(series))
    stored = tmp_path / "store/evaluation/abc"
    stored.mkdir(parents=True)
    (stored / "record.json").write_text(NF4.replace('"seed": 0', '"seed": 7'))
    (stored / "manifest.json").write_text("{}")
    return tmp_path


@pytest.fixture
def store(tmp_path: Path) -> str:
    """An MLflow store as effcomp writes it: a finished configuration, one that failed, and their parent."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = mlflow.MlflowClient(uri)
    experiment = client.create_experiment("effcomp", artifact_location=(tmp_path / "artifacts").as_uri())
    for kind, status in (("configuration", "FINISHED"), ("configuration", "FAILED"), ("sweep", "FINISHED")):
        run = client.create_run(experiment, tags={"kind": kind, RECORD_TAG: "hash"}).info.run_id
        if status == "FINISHED" and kind == "configuration":
            client.log_text(run, NF4, "record.json")
            client.log_text(run, json.dumps({"training_curve": CURVE}), "series.json")
        client.set_terminated(run, status=status)
    return uri


def test_the_baseline_comes_first(runs: Path) -> None:
    assert [record.choices["quant"] for record in find_records(runs)] == ["none", "nf4"]


def test_what_lies_in_the_store_is_no_run(runs: Path) -> None:
    assert all(record.config["seed"] == 0 for record in find_records(runs))


def test_the_curves_come_with_the_record(runs: Path) -> None:
    baseline, nf4 = find([str(runs)])
    assert baseline.training_curve == CURVE
    assert nf4.training_curve == []


def test_one_measurement_under_two_configs_counts_once(runs: Path, tmp_path: Path) -> None:
    copy = json.loads(NF4)
    copy["config"]["tracking"] = {"name": "none"}
    other = json.loads(NF4)
    other["speed"]["speedup"]["value"] += 0.01
    file = tmp_path / "records.jsonl"
    file.write_text("\n".join(map(json.dumps, (copy, other))) + "\n")
    assert len(find([str(runs), str(file)])) == 3


def test_the_runs_of_an_mlflow_store_are_read_as_they_were_logged(store: str) -> None:
    (found,) = find([store])
    assert found.record.to_json() == find_records(DATA / "records/nf4.json")[0].to_json()
    assert found.training_curve == CURVE


def test_a_run_that_an_older_version_logged_is_read(tmp_path: Path) -> None:
    """Its metrics have other names; the report reads the record alone."""
    old = (DATA / "records/schema_4.json").read_text()
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = mlflow.MlflowClient(uri)
    experiment = client.create_experiment("effcomp", artifact_location=(tmp_path / "artifacts").as_uri())
    run = client.create_run(experiment, tags={"kind": "configuration", RECORD_TAG: "hash"}).info.run_id
    client.log_metric(run, "cost.artifact_bytes", 1.0)
    client.log_text(run, old, "record.json")
    client.set_terminated(run)
    (found,) = find([uri])
    assert found.record.cost.size.artifact_bytes == json.loads(old)["cost"]["artifact_bytes"]


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("sqlite:///missing.db", "no such file"),
        ("sqlite:///notes.txt", "not a database"),
        ("http://127.0.0.1:9", "cannot be read"),
        ("ftp://somewhere", "cannot be read"),
    ],
)
def test_a_store_that_cannot_be_read_is_refused_in_one_line(uri: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, and longer than the header of one" * 10)
    ran = run_effcomp(uri, cwd=tmp_path, module="effcomp.report")
    assert ran.code == 2
    assert reason in ran.stderr
    assert ran.stderr.count("\n") == 1, ran.stderr
    assert not (tmp_path / "missing.db").exists()


def test_a_store_without_our_experiment_is_refused(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/other.db"
    mlflow.MlflowClient(uri).create_experiment("another")
    with pytest.raises(UserError, match="nothing was logged"):
        find([uri])


@pytest.mark.parametrize("content", [None, "{}", "not json", '{"schema": 99}'])
def test_a_folder_without_readable_records_is_refused(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "record.json").write_text(content)
    with pytest.raises(UserError, match=r"record\.json"):
        find_records(tmp_path)
    ran = run_effcomp(str(tmp_path), cwd=tmp_path, module="effcomp.report")
    assert ran.code == 2
    assert ran.stderr.count("\n") == 1


def test_damaged_curves_are_refused(runs: Path) -> None:
    (runs / "1/series.json").write_text('{"training_curve": [')
    with pytest.raises(UserError, match=r"series\.json"):
        find([str(runs)])
