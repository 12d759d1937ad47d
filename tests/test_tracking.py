"""MLflow under several writers, and a run that raises."""

import multiprocessing
from pathlib import Path

import mlflow
import numpy as np
import pytest

from effcomp.errors import UserError
from effcomp.measure.trace import GpuSample, Sample
from effcomp.pipeline import RAW_FILE, Result
from effcomp.record import Record
from effcomp.tracking import MlflowTracking, opened
from tests.conftest import records


def local(folder: Path) -> MlflowTracking:
    return MlflowTracking(name="local", uri=f"sqlite:///{folder}/db/mlflow.db", artifacts=folder / "files")


def log_some(folder: Path, count: int) -> None:
    tracking = local(folder)
    tracking.check()
    for number in range(count):
        tracking.log(Result(records("nf4")[0], [], [], [], {}, started_ms=0), f"run {number}", parent=None)


def test_several_processes_on_a_new_database_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=log_some, args=(tmp_path, 4)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    client, experiment = local(tmp_path).experiment()
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 16
    expected = records("nf4")[0].metrics()
    for run in runs:
        assert run.info.status == "FINISHED"
        assert expected.items() <= run.data.metrics.items()


def test_a_record_comes_back_from_mlflow_and_series_stand_by_step(tmp_path: Path) -> None:
    record = records("nf4")[0]
    curve = [{"step": 1, "loss": 0.7, "learning_rate": 1e-5}, {"step": 5, "eval_loss": 0.6}]
    gpu = GpuSample(utilisation_percent=80, temperature_c=40, power_w=300, memory_bytes=10)
    trace = [Sample(0.25, 100, 99.0, gpu), Sample(0.5, 200, 98.0)]
    raw = {"batch_1.variant": np.array([[1.0, 2.0]])}
    tracking = local(tmp_path)
    tracking.check()
    tracking.log(Result(record, curve, [], trace, raw, started_ms=0), "run", parent=None)

    client, experiment = tracking.experiment()
    (run,) = client.search_runs([experiment.experiment_id])
    downloaded = Path(client.download_artifacts(run.info.run_id, ""))
    assert Record.read(downloaded / "record.json") == record
    assert np.load(downloaded / RAW_FILE)["batch_1.variant"].tolist() == [[1.0, 2.0]]

    def series(name: str) -> list[tuple[int, float]]:
        return [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, name)]

    assert series("training.eval_loss") == [(5, 0.6)]
    assert series("trace.rss_bytes") == [(250, 100.0), (500, 200.0)]
    assert series("trace.gpu_power_w") == [(250, 300.0)]


def test_a_run_whose_logging_raises_is_failed_and_not_running(tmp_path: Path) -> None:
    tracking = local(tmp_path)
    tracking.check()
    client, experiment = tracking.experiment()
    with (
        pytest.raises(KeyboardInterrupt),
        opened(client, experiment.experiment_id, "interrupted", {}, started_ms=0) as run_id,
    ):
        raise KeyboardInterrupt
    assert mlflow.MlflowClient(tracking.uri).get_run(run_id).info.status == "FAILED"


@pytest.mark.parametrize("uri", ["nonsense", "file:///tmp/mlruns", "sqlite:////proc/none/mlflow.db"])
def test_a_store_that_cannot_be_written_is_refused(uri: str) -> None:
    with pytest.raises(UserError, match=r"tracking\.uri="):
        MlflowTracking(name="local", uri=uri, artifacts=None).check()
