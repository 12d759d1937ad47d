"""MLflow: one run per configuration, the configurations of a sweep under one parent run."""

import json
import logging
import os
import sqlite3
import tempfile
import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from effcomp.errors import UserError
from effcomp.installed import require
from effcomp.part import Part
from effcomp.record import RECORD_FILE, Quality, settings

if TYPE_CHECKING:
    from mlflow.entities import Experiment
    from mlflow.tracking import MlflowClient

    from effcomp.pipeline import Result

log = logging.getLogger(__name__)

EXPERIMENT = "effcomp"
LONGEST_PARAMETER = 500


class Tracking(Part):
    """Where runs are logged."""

    @abstractmethod
    def check(self) -> None:
        """Raise UserError when runs cannot be logged; makes the database where there is none."""

    @abstractmethod
    def start_sweep(self, name: str) -> str | None:
        """Open the parent run of a sweep; its id, or None when nothing is tracked."""

    @abstractmethod
    def log(self, result: "Result", name: str, parent: str | None) -> None:
        """Log one finished run, under its parent where there is one."""

    @abstractmethod
    def end_sweep(self, parent: str | None, report: Path | None, failed: bool) -> None:
        """Close the parent run, with the files of the sweep's report where there is one."""

    @abstractmethod
    def how_to_open(self) -> str:
        """Where the data is and what opens it, for a person."""


class NoTracking(Tracking):
    """Log nowhere: the record is on disk, and MLflow need not be installed."""

    def check(self) -> None:
        return

    def start_sweep(self, name: str) -> str | None:
        return None

    def log(self, result: "Result", name: str, parent: str | None) -> None:
        return

    def end_sweep(self, parent: str | None, report: Path | None, failed: bool) -> None:
        return

    def how_to_open(self) -> str:
        return "MLflow    not used (tracking=none)"


class MlflowTracking(Tracking):
    """An MLflow tracking store: SQLite on this machine, or a server."""

    schemes: ClassVar[tuple[str, ...]] = ("sqlite", "http", "https", "postgresql", "mysql")
    uri: str
    """sqlite:///mlruns/mlflow.db, or http://host:port."""
    artifacts: Path | None
    """The folder of the runs' files, for SQLite; a server knows its own."""

    def check(self) -> None:
        require("mlflow", "mlflow>=3", f"tracking={self.name}")
        scheme = self.uri.partition("://")[0].partition("+")[0]
        if scheme not in self.schemes:
            raise UserError(f"tracking.uri={self.uri}: give sqlite:///FILE or http://HOST:PORT")
        if self.database is not None:
            try:
                self.database.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UserError(f"tracking.uri={self.uri}: {error.strerror} ({self.database.parent})") from error
            if not os.access(self.database.parent, os.W_OK):
                raise UserError(f"tracking.uri={self.uri}: {self.database.parent} cannot be written to")
            if self.artifacts is None:
                raise UserError("tracking.artifacts=null: name the folder of the runs' files")
        # A server that is not there is to be said in seconds; MLflow's own patience is minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        from mlflow.exceptions import MlflowException

        try:
            _, experiment = self.experiment()
        except (MlflowException, OSError, sqlite3.Error) as error:
            reason = str(error).splitlines()[0].partition(": HTTP")[0][:200]
            raise UserError(f"tracking.uri={self.uri} does not answer: {reason}; use tracking=none") from error
        if experiment.lifecycle_stage != "active":
            raise UserError(
                f"tracking.uri={self.uri}: its experiment {EXPERIMENT!r} was deleted; restore it with "
                f"mlflow experiments restore --experiment-id {experiment.experiment_id}"
            )

    @property
    def database(self) -> Path | None:
        """The SQLite file; None for a server."""
        prefix = "sqlite:///"
        return Path(self.uri.removeprefix(prefix)).absolute() if self.uri.startswith(prefix) else None

    def experiment(self) -> "tuple[MlflowClient, Experiment]":
        """A client, and effcomp's experiment. The database is made and migrated once, under a lock: two
        processes that migrate SQLite at the same moment break it. WAL lets readers and a writer work together."""
        from filelock import FileLock
        from mlflow.tracking import MlflowClient

        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        if self.database is None:
            client = MlflowClient(self.uri)
            experiment = client.get_experiment_by_name(EXPERIMENT)
            return client, experiment or client.get_experiment(client.create_experiment(EXPERIMENT))
        with FileLock(f"{self.database}.lock"):
            client = MlflowClient(f"sqlite:///{self.database}")
            experiment = client.get_experiment_by_name(EXPERIMENT)
            if experiment is None:
                with sqlite3.connect(self.database) as connection:
                    connection.execute("PRAGMA journal_mode=WAL")
                assert self.artifacts is not None, "conf/tracking/local.yaml names the folder"
                folder = self.artifacts.absolute().as_uri()
                experiment = client.get_experiment(client.create_experiment(EXPERIMENT, artifact_location=folder))
        return client, experiment

    def start_sweep(self, name: str) -> str | None:
        client, experiment = self.experiment()
        run = client.create_run(experiment.experiment_id, run_name=name, tags={"kind": "sweep"})
        return str(run.info.run_id)

    def log(self, result: "Result", name: str, parent: str | None) -> None:
        from effcomp.report.rows import is_baseline

        client, experiment = self.experiment()
        record = result.record
        tags = {"kind": "configuration", "baseline": str(is_baseline(record)), **record.choices}
        if parent is not None:
            tags["mlflow.parentRunId"] = parent
        with opened(client, experiment.experiment_id, name, tags, result.started_ms) as run_id:
            log_numbers(client, run_id, result)
            with tempfile.TemporaryDirectory(prefix="effcomp-") as scratch:
                write_files(result, Path(scratch))
                client.log_artifacts(run_id, scratch)

    def end_sweep(self, parent: str | None, report: Path | None, failed: bool) -> None:
        if parent is None:
            return
        client, _ = self.experiment()
        if report is not None:
            client.log_artifacts(parent, str(report), artifact_path="report")
        client.set_terminated(parent, status="FAILED" if failed else "FINISHED")

    def how_to_open(self) -> str:
        if self.database is None:
            return f"MLflow    {self.uri}"
        return f"MLflow    {self.uri}\nopen it   make ui   (mlflow ui --host 127.0.0.1 --backend-store-uri {self.uri})"


@contextmanager
def opened(client: "MlflowClient", experiment: str, name: str, tags: dict[str, str], started_ms: int) -> Iterator[str]:
    """A run that ends FINISHED, or FAILED when its block raises: none is left RUNNING."""
    run_id = client.create_run(experiment, start_time=started_ms, run_name=name, tags=tags).info.run_id
    try:
        yield run_id
    except BaseException:
        client.set_terminated(run_id, status="FAILED")
        raise
    client.set_terminated(run_id, status="FINISHED")


def log_numbers(client: "MlflowClient", run_id: str, result: "Result") -> None:
    """Parameters, metrics, the curves of training and of recovery by step, and the resource trace by milliseconds."""
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, 0) for name, value in result.record.metrics().items()]
    for kind, curve in (("training", result.training_curve), ("recovery", result.recovery_curve)):
        for row in curve:
            for name in ("loss", "learning_rate", "eval_loss"):
                if name in row:
                    metrics.append(Metric(f"{kind}.{name}", float(row[name]), now, int(row["step"])))
    for sample in result.trace:
        step = round(sample.seconds * 1000)
        metrics.append(Metric("trace.rss_bytes", float(sample.rss_bytes), now, step))
        metrics.append(Metric("trace.cpu_percent", sample.cpu_percent, now, step))
        for name, value in (asdict(sample.gpu) if sample.gpu is not None else {}).items():
            metrics.append(Metric(f"trace.gpu_{name}", float(value), now, step))
    parameters = [Param(name, str(value)[:LONGEST_PARAMETER]) for name, value in settings(result.record.config).items()]
    for start in range(0, len(metrics), 1000):  # the most that a server takes at once
        client.log_batch(run_id, metrics=metrics[start : start + 1000])
    client.log_batch(run_id, params=parameters)


def write_files(result: "Result", folder: Path) -> None:
    """The record, every single time, and the confusion matrix as a figure and as numbers."""
    from effcomp.report.figures import confusion_figure

    record = result.record
    (folder / RECORD_FILE).write_text(record.to_json() + "\n")
    result.write_raw(folder)
    if isinstance(record.quality, Quality):
        labels = list(record.quality.per_class)
        matrix = {"labels": labels, "rows_true_columns_predicted": record.quality.confusion_matrix}
        (folder / "confusion_matrix.json").write_text(json.dumps(matrix, indent=1) + "\n")
        confusion_figure(record).savefig(folder / "confusion_matrix.png")
