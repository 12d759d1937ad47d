"""Runs that are kept on disk, sent to a real MLflow server."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from effcomp.core.errors import UserError
from effcomp.core.store import Store
from effcomp.record import RECORD_FILE, Record
from effcomp.sweep.folder import SWEEP_FILE
from effcomp.sweep.upload import upload
from effcomp.tracking.mlflow_runs import MlflowTracking
from tests.conftest import records, run_effcomp
from tests.record.test_result import some_result


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(server_folder: Path) -> Iterator[MlflowTracking]:
    folder, port = server_folder, free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    process = subprocess.Popen([*command, *stores], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 90
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < end and process.poll() is None, "mlflow server did not start"
            time.sleep(0.2)
        yield MlflowTracking(name="server", uri=f"http://127.0.0.1:{port}", artifacts=None)
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def server_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two configurations of a sweep whose server did not answer."""
    for number, record in enumerate(records("none", "nf4")):
        folder = tmp_path / "sweep" / str(number)
        folder.mkdir(parents=True)
        moved = record.model_copy(update={"config": {**record.config, "store": str(tmp_path / "store")}})
        replace(some_result(), record=moved).write(folder)
    (tmp_path / "sweep" / SWEEP_FILE).write_text('{"name": "quant=none,nf4", "parent_run": null, "uri": null}')
    (tmp_path / "sweep/results").mkdir()
    (tmp_path / "sweep/results/index.html").write_text("<html></html>")
    return tmp_path / "sweep"


def test_a_sweep_is_sent_once_with_its_parent_and_its_report(server: MlflowTracking, sweep: Path) -> None:
    gone = json.dumps({"name": "quant=none,nf4", "parent_run": "0" * 32, "uri": server.uri})
    (sweep / SWEEP_FILE).write_text(gone)  # its store was emptied since
    first, second = upload(sweep, server, every=True), upload(sweep, server, every=True)
    assert (first.sent, first.there_already, first.without_model) == (2, 0, 2)
    assert (second.sent, second.there_already) == (0, 2)
    client, experiment = server.open_experiment()
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if run.data.tags["kind"] == "sweep"]
    assert parent.info.run_name == "quant=none,nf4"
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert {run.data.tags["quant"] for run in children} == {"none", "nf4"}
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {(run.info.start_time, run.info.end_time) for run in runs} == {(1000, 3000)}, "measured then, not sent"
    assert [file.path for file in client.list_artifacts(parent.info.run_id, "results")] == ["results/index.html"]
    sent = client.download_artifacts(children[0].info.run_id, "record.json")
    assert Record.read(Path(sent)).metrics() in [record.metrics() for record in records("none", "nf4")]


def test_a_run_that_could_not_be_logged_is_sent_by_the_command_that_it_names(
    server: MlflowTracking, server_folder: Path, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = dict.fromkeys(("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "HF_TOKEN"), "s3cret-word")
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    silent = ["tracking=server", f"tracking.uri=http://127.0.0.1:{free_port()}", "device.threads=1"]
    ran = run_effcomp(*tiny, *silent, cwd=tmp_path)
    assert ran.code == 1, ran.stderr
    line = ran.stderr.splitlines()[-1]
    assert line.startswith("error: measured and kept in ")
    assert "does not answer" in line
    assert "effcomp upload" in line
    (folder,) = (file.parent for file in tmp_path.glob("multirun/*/*/record.json"))
    sent = run_effcomp("upload", str(folder), "--to", server.uri, cwd=tmp_path, module="effcomp")
    assert sent.code == 0, sent.stderr
    client, experiment = server.open_experiment()
    runs = client.search_runs([experiment.experiment_id], "tags.task = 'rotten_tomatoes'")
    logged = [Record.read(Path(client.download_artifacts(run.info.run_id, "record.json"))) for run in runs]
    assert Record.from_json(ran.stdout) in logged
    assert client.search_logged_models([experiment.experiment_id]), "with its artifact as a model"
    again = run_effcomp("upload", str(folder), "--to", server.uri, cwd=tmp_path, module="effcomp")
    assert "0 sent" in again.stdout
    assert "1 were there" in again.stdout
    written = [file for file in [*tmp_path.rglob("*"), *server_folder.rglob("*")] if file.is_file()]
    assert not [file for file in written if b"s3cret-word" in file.read_bytes()]
    assert "s3cret-word" not in ran.stdout + ran.stderr + sent.stdout + sent.stderr


@pytest.mark.parametrize("artifact", ["../../outside", "/etc"])
def test_a_record_whose_artifact_leads_out_of_the_store_is_refused(
    server: MlflowTracking, sweep: Path, artifact: str
) -> None:
    file = sweep / "0" / "record.json"
    record = Record.read(file)
    truth = record.truth.model_copy(update={"artifact": artifact})
    file.write_text(record.model_copy(update={"truth": truth}).to_json())
    with pytest.raises(UserError, match="names no entry of the store"):
        upload(sweep, server, every=True)


def test_an_artifact_that_is_damaged_is_not_sent(server: MlflowTracking, sweep: Path) -> None:
    record = Record.read(sweep / "0" / "record.json")
    artifact = Store(Path(record.config["store"])).folder("artifact", record.truth.artifact)
    artifact.mkdir(parents=True)
    (artifact / "model.safetensors").write_text("no manifest says what this is")
    assert upload(sweep, server, every=True).without_model == 2


def track(sweep: Path, number: int, tracking: dict[str, str]) -> None:
    """Change the tracking settings in the record of a run."""
    file = sweep / str(number) / RECORD_FILE
    record = Record.read(file)
    file.write_text(record.model_copy(update={"config": {**record.config, "tracking": tracking}}).to_json())


def test_runs_are_sent_to_the_server_that_they_name(server: MlflowTracking, sweep: Path) -> None:
    for number, uri in enumerate((server.uri, "sqlite:///mlruns/mlflow.db")):
        track(sweep, number, {"name": "server", "uri": uri, "of": str(sweep)})
    ran = run_effcomp("upload", str(sweep), cwd=sweep, module="effcomp")
    assert ran.code == 0, ran.stderr
    assert "1 sent" in ran.stdout


def test_runs_that_name_no_server_are_not_sent_anywhere(sweep: Path) -> None:
    for number in range(2):
        track(sweep, number, {"name": "none"})
    ran = run_effcomp("upload", str(sweep), cwd=sweep, module="effcomp")
    assert ran.code == 2
    assert "name no server; give one" in ran.stderr


def test_a_folder_without_a_run_is_refused(server: MlflowTracking, sweep: Path) -> None:
    shutil.rmtree(sweep / "0")
    (sweep / "1" / "series.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        upload(sweep, server, every=True)
    with pytest.raises(UserError, match="holds no run to upload"):
        upload(sweep / "results", server, every=True)
