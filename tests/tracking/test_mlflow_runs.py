"""MLflow under several writers, a run that raises, runs of processes that were killed, a logged model."""

import json
import multiprocessing
import os
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs

import mlflow
import pandas as pd
import pytest
from matplotlib.figure import Figure

from effcomp.core.errors import UserError
from effcomp.core.store import text_hash
from effcomp.record import Record
from effcomp.record.result import RAW_FILE, Result
from effcomp.tracking.abandoned import PROCESS_TAG, process_name
from effcomp.tracking.base import ServerUnreachable, Summary
from effcomp.tracking.database import MODEL_TRAINING
from effcomp.tracking.metrics import metrics
from effcomp.tracking.mlflow_runs import MlflowTracking, opened
from effcomp.tracking.names import NOTE_TAG, PARENT_TAG, RECORD_TAG
from effcomp.tracking.reader import logged
from tests.conftest import DATA, MOVIES, SMALL, compose_parts, records, run_parts
from tests.record.test_result import some_result


def local(folder: Path) -> MlflowTracking:
    return MlflowTracking(name="local", uri=f"sqlite:///{folder}/db/mlflow.db", artifacts=folder / "files")


def log_some(folder: Path, count: int) -> None:
    tracking = local(folder)
    tracking.prepare()
    (record,) = records("nf4")
    for number in range(count):
        truth = record.truth.model_copy(update={"time": f"{os.getpid()} {number}"})  # else it is there already
        own = record.model_copy(update={"truth": truth})
        tracking.log(Result(own, [], [], [], {}, [], started_ms=0, ended_ms=1), None, {}, parent=None)


def test_several_processes_on_a_new_database_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=log_some, args=(tmp_path, 4)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    client, experiment = local(tmp_path).open_experiment()
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 16
    expected = metrics(records("nf4")[0])
    for run in runs:
        assert run.info.status == "FINISHED"
        assert expected.items() <= run.data.metrics.items()


def test_a_record_comes_back_from_mlflow_and_series_stand_by_step(tmp_path: Path) -> None:
    result, tracking = some_result(), local(tmp_path)
    tracking.prepare()
    tracking.log(result, None, {"drawing": Figure()}, parent=None)

    client, experiment = tracking.open_experiment()
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.start_time, run.info.end_time) == (1000, 3000)
    downloaded = Path(client.download_artifacts(run.info.run_id, ""))
    assert Record.read(downloaded / "record.json") == result.record
    assert (downloaded / RAW_FILE).is_file()
    assert (downloaded / "drawing.png").is_file()

    def series(name: str) -> list[tuple[int, int, float]]:
        history = client.get_metric_history(run.info.run_id, name)
        return [(metric.step, metric.timestamp, metric.value) for metric in history]

    assert series("training/loss") == [(1, 3500, 0.7)]
    assert series("training/eval_loss") == [(5, 4000, 0.6)], "the seconds of both tries"
    assert series("trace/rss_bytes") == [(0, 1000, 110.0), (1, 2000, 200.0)], "means of a second, from the run's start"
    assert series("system/gpu_0_power_usage_watts") == [(0, 1000, 300.0)]


def test_a_run_that_a_version_of_an_older_schema_logged_is_found(tmp_path: Path) -> None:
    tracking, text = local(tmp_path), (DATA / "records/schema_4.json").read_text()
    tracking.prepare()
    assert not tracking.find(text, None)
    client, experiment = tracking.open_experiment()
    run = client.create_run(experiment.experiment_id, tags={RECORD_TAG: text_hash(text.strip())})
    client.set_terminated(run.info.run_id)
    assert tracking.find(text, None)


def test_a_run_whose_logging_raises_is_failed_and_not_running(tmp_path: Path) -> None:
    tracking = local(tmp_path)
    tracking.prepare()
    client, experiment = tracking.open_experiment()
    with (
        pytest.raises(KeyboardInterrupt),
        opened(client, experiment.experiment_id, "interrupted", {}, some_result()) as run_id,
    ):
        raise KeyboardInterrupt
    assert mlflow.MlflowClient(tracking.uri).get_run(run_id).info.status == "FAILED"


def test_what_a_killed_process_left_open_is_closed_by_the_next_sweep(tmp_path: Path) -> None:
    tracking = local(tmp_path)
    tracking.prepare()
    client, experiment = tracking.open_experiment()
    own = process_name(os.getpid())
    host, pid, started = own.rsplit(" ", 2)
    left = {
        "of a process that is no more": f"{host} 4194304 {started}",
        "of one whose number was given again": f"{host} {pid} 1.00",
        "of one that runs": own,
        "of another machine": f"elsewhere {pid} {started}",
    }
    for name, process in left.items():
        client.create_run(experiment.experiment_id, run_name=name, tags={PROCESS_TAG: process})
    tracking.start_sweep("the next")
    runs = client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'")
    assert {run.info.run_name for run in runs} == {"of one that runs", "of another machine", "the next"}


def test_an_artifact_is_logged_as_a_model_that_answers_as_it_does(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    parts = compose_parts(
        *(f"model.path={tiny_bert}", f"task.data_dir={MOVIES}", "task.test_size=20", "finetune.epochs=1", *SMALL),
        *("quant=int8_dynamic", "tracking=none", f"store={tmp_path / 'store'}"),
    )
    result, tracking = run_parts(parts), local(tmp_path)
    tracking.prepare()
    tracking.log(result, parts.store / "artifact" / result.record.truth.artifact, {}, parent=None)
    client, experiment = tracking.open_experiment()
    (model,) = client.search_logged_models([experiment.experiment_id])
    assert model.tags["quant"] == "int8_dynamic"
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.params["model"] == run.data.tags["model"] == model.tags["model"] == tiny_bert.name
    files = [file for file in (tmp_path / "files" / "models").rglob("*") if file.is_file()]
    assert not [file for file in files if file.suffix in {".pkl", ".pickle", ".pt"}], "nothing is pickled"
    (weights,) = [file for file in files if file.suffix == ".safetensors"]
    assert weights.samefile(parts.store / "artifact" / result.record.truth.artifact / weights.name), "stored once"
    sources = {file for file in files if "/code/effcomp/" in str(file)}
    assert sources
    assert {file.stat().st_nlink for file in sources} == {2}, "shared by all models, beside the store's own"

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tracking.database}")
    served = mlflow.pyfunc.load_model(f"models:/{model.model_id}")
    texts = [text for text, _ in zip(parts.task.load().test.texts, range(20), strict=False)]
    answers = served.predict(pd.DataFrame({"text": texts}))
    labels = parts.task.load().label_names
    right = [labels[label] for label in parts.task.load().test.labels[:20]]
    assert (answers["label"] == right).mean() == pytest.approx(result.record.quality.accuracy.value)
    assert answers[list(labels)].sum(axis=1).tolist() == pytest.approx([1.0] * 20)


def test_a_server_that_is_not_there_is_said_and_refuses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    tracking = MlflowTracking(name="server", uri="http://127.0.0.1:9", artifacts=None)
    with caplog.at_level("WARNING", "effcomp"):  # whatever another test has set for this process
        tracking.prepare()
    assert "does not answer" in caplog.text
    assert "effcomp upload" in caplog.text
    with pytest.raises(ServerUnreachable):
        tracking.log(replace(some_result()), None, {}, parent=None)


@pytest.mark.parametrize("uri", ["nonsense", "file:///tmp/mlruns", "sqlite:////proc/none/mlflow.db"])
def test_a_store_that_cannot_be_written_is_refused(uri: str) -> None:
    with pytest.raises(UserError, match=r"tracking\.uri="):
        tracking = MlflowTracking(name="local", uri=uri, artifacts=Path("runs"))
        tracking.check()
        tracking.prepare()


def test_a_model_that_a_run_had_begun_to_log_is_not_left_pending(tmp_path: Path) -> None:
    tracking = local(tmp_path)
    tracking.prepare()
    client, experiment = tracking.open_experiment()
    with (
        pytest.raises(OSError, match="No space left"),
        opened(client, experiment.experiment_id, "the disk is full", {}, some_result()) as run_id,
    ):
        client.create_logged_model(experiment.experiment_id, name="half", source_run_id=run_id)
        raise OSError("No space left on device")
    (model,) = client.search_logged_models([experiment.experiment_id])
    assert model.status == "FAILED"


def test_a_run_names_its_data_its_processor_and_its_verdict(tmp_path: Path) -> None:
    result = some_result()
    tracking = MlflowTracking(
        name="local",
        uri=f"sqlite:///{tmp_path}/db/mlflow.db",
        artifacts=tmp_path / "files",
        experiment="compression",
        tags={"team": "search", "attempt": 2},
    )
    tracking.prepare()
    tracking.log(result, None, {}, parent=None)
    client = mlflow.MlflowClient(tracking.uri)
    experiment = client.get_experiment_by_name("compression")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert "Metrics without a slash" in experiment.tags[NOTE_TAG]
    (run,) = client.search_runs([experiment.experiment_id])
    truth = result.record.truth
    assert (run.data.tags["team"], run.data.tags["attempt"]) == ("search", "2")
    assert run.data.tags["processor"] == truth.machine.device
    assert run.data.tags["verdict"] == result.record.versus_baseline.verdict
    (data,) = run.inputs.dataset_inputs
    assert data.dataset.name == result.record.choices["task"]
    assert truth.data.fingerprint.startswith(data.dataset.digest)
    (text,) = logged(tracking.uri)
    assert Record.from_json(text.record) == result.record, "the report finds every experiment"


def test_a_repeated_sweep_links_to_the_runs_that_are_there(tmp_path: Path) -> None:
    tracking, result = local(tmp_path), some_result()
    tracking.prepare()
    first = tracking.start_sweep("first")
    tracking.log(result, None, {}, first)
    tracking.end_sweep(first, Summary(None, "none came through", {}, {}, None), failed=False)
    assert tracking.open_experiment()[0].get_run(first).data.tags[NOTE_TAG] == "none came through"
    ended = tracking.open_experiment()[0].get_run(first).info.end_time
    tracking.end_sweep(first, None, failed=False, ended_ms=ended + 1000)  # effcomp upload of a finished sweep
    assert tracking.open_experiment()[0].get_run(first).info.end_time == ended
    again = tracking.start_sweep("again")
    tracking.log(result, None, {}, again)
    results = tmp_path / "results"
    results.mkdir()
    (results / "index.html").write_text("<html></html>")
    front = results / "quality_speed.svg"
    for suffix in (".svg", ".png"):
        Figure().savefig(front.with_suffix(suffix))
    tracking.end_sweep(again, Summary(results, "| a table |", {}, {"accuracy": 0.9}, front), failed=False)

    client, experiment = tracking.open_experiment()
    (run,) = client.search_runs([experiment.experiment_id], "tags.kind = 'configuration'")
    assert run.data.tags[PARENT_TAG] == first
    parent = client.get_run(again)
    assert parent.data.metrics == {"best/accuracy": 0.9}
    assert [one.dataset for one in parent.inputs.dataset_inputs] == [one.dataset for one in run.inputs.dataset_inputs]
    assert len(parent.inputs.dataset_inputs) == 1
    note = parent.data.tags[NOTE_TAG]
    assert note.startswith("![Pareto front]") and "| a table |" in note, "the longest last: a tag has an end"
    here = f"#/experiments/{experiment.experiment_id}/runs"
    assert f"({here}/{run.info.run_id}?{MODEL_TRAINING})" in note
    assert f"![Pareto front](get-artifact?run_uuid={again}&path=results/quality_speed.svg)" in note
    assert "results/quality_speed.svg" in [file.path for file in client.list_artifacts(again, "results")]
    assert f"({here}/{again}/artifacts/results/index.html?{MODEL_TRAINING})" in note
    (comparison,) = re.findall(rf"\(#/compare-runs\?(.*)&{MODEL_TRAINING}\)", note)
    asked = {name: json.loads(value) for name, (value,) in parse_qs(comparison).items()}
    assert asked == {"runs": [run.info.run_id], "experiments": [experiment.experiment_id]}

    third = tracking.start_sweep("once more")
    tracking.log(result, None, {}, third)
    tracking.end_sweep(third, Summary(results, "| a table |", {}, {"accuracy": 0.9}, front), failed=False)
    assert client.list_artifacts(third, "results") == []
    note = client.get_run(third).data.tags[NOTE_TAG]
    assert f"({here}/{again}/artifacts/results/index.html?{MODEL_TRAINING})" in note
    assert f"![Pareto front](get-artifact?run_uuid={again}&path=results/quality_speed.svg)" in note


def test_a_run_of_a_sweep_that_was_cut_off_moves_to_the_next(tmp_path: Path) -> None:
    tracking, result = local(tmp_path), some_result()
    tracking.prepare()
    first = tracking.start_sweep("first")
    tracking.log(result, None, {}, first)
    tracking.end_sweep(first, None, failed=True)
    again = tracking.start_sweep("again")
    tracking.log(result, None, {}, again)
    client, experiment = tracking.open_experiment()
    (run,) = client.search_runs([experiment.experiment_id], "tags.kind = 'configuration'")
    assert run.data.tags[PARENT_TAG] == again


def test_a_failed_configuration_is_a_failed_run_with_its_reason(tmp_path: Path) -> None:
    tracking = local(tmp_path)
    tracking.prepare()
    parent = tracking.start_sweep("sweep")
    tracking.log_failure("quant=nf4", "the process was killed by signal 9 (out of memory?)", parent)
    client, experiment = tracking.open_experiment()
    (run,) = client.search_runs([experiment.experiment_id], "tags.kind = 'failure'")
    assert (run.info.status, run.info.run_name) == ("FAILED", "quant=nf4")
    assert "out of memory" in run.data.tags["reason"]
    assert run.data.tags[PARENT_TAG] == parent
