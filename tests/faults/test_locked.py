"""Another process holds MLflow's database for a while: nothing is lost."""

import sqlite3
import threading
import time
from pathlib import Path

import pytest

from effcomp.tracking.metrics import metrics
from effcomp.tracking.mlflow_runs import MlflowTracking
from tests.faults.conftest import Undisturbed
from tests.faults.ground import Ground
from tests.record.test_result import some_result


def hold(database: Path, seconds: float, held: threading.Event) -> None:
    connection = sqlite3.connect(database, isolation_level=None, timeout=60)
    connection.execute("BEGIN EXCLUSIVE")
    held.set()
    time.sleep(seconds)
    connection.execute("ROLLBACK")
    connection.close()


def start_holding(database: Path, seconds: float) -> threading.Thread:
    held = threading.Event()
    holder = threading.Thread(target=hold, args=(database, seconds, held))
    holder.start()
    assert held.wait(60)
    return holder


def test_a_run_is_logged_after_the_database_was_locked_for_longer_than_mlflow_waits(tmp_path: Path) -> None:
    tracking = MlflowTracking(name="local", uri=f"sqlite:///{tmp_path}/mlflow.db", artifacts=tmp_path / "files")
    tracking.prepare()
    started = time.monotonic()
    holder = start_holding(tmp_path / "mlflow.db", 23)
    tracking.log(some_result(), None, {}, parent=None)
    holder.join()
    assert time.monotonic() - started > 23, "it waited"
    client, experiment = tracking.open_experiment()
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert metrics(some_result().record).items() <= run.data.metrics.items()


@pytest.mark.faults
@pytest.mark.parametrize("moment", [0.0, 0.5, 0.9])
def test_a_sweep_loses_nothing_when_the_database_is_locked_for_half_a_minute(
    undisturbed: Undisturbed, ground: Ground, moment: float
) -> None:
    MlflowTracking(
        name="local", uri=f"sqlite:///{ground.folder}/mlruns/mlflow.db", artifacts=ground.folder / "mlruns/artifacts"
    ).prepare()
    sweep = ground.start()
    time.sleep(moment * undisturbed.seconds)
    start_holding(ground.folder / "mlruns/mlflow.db", 30).join()
    assert sweep.wait(300) == 0
    assert ground.left() == undisturbed.left
    assert ground.open_runs() == []
    assert ground.logged_under_last_sweep() == 2
