"""MLflow: one run per configuration, the configurations of a sweep under one parent run."""

import logging
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, field_validator

from effcomp.core.errors import UserError
from effcomp.core.packages import require
from effcomp.core.store import text_hash
from effcomp.record import Record, label
from effcomp.tracking.abandoned import PROCESS_TAG, close_abandoned, give_up, process_name
from effcomp.tracking.base import ServerUnreachable, Summary, Tracking
from effcomp.tracking.database import (
    EXPERIMENT,
    EXPERIMENT_TAGS,
    MODEL_TRAINING,
    PATIENCE_S,
    check_database,
    make_database,
    mlflow_reason,
    open_client,
    without_credentials,
)
from effcomp.tracking.names import LINK_TAG, LONGEST, LONGEST_TAG, NOTE_TAG, PARENT_TAG, RECORD_TAG

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow.entities import Experiment, Run
    from mlflow.tracking import MlflowClient

    from effcomp.record.result import Result

log = logging.getLogger(__name__)


class MlflowTracking(Tracking):
    """An MLflow tracking store: SQLite on this machine, or a server."""

    id: ClassVar[str] = "tracking/mlflow"
    schemes: ClassVar[tuple[str, ...]] = ("sqlite", "http", "https", "postgresql", "mysql")
    uri: str
    """Address of the tracking store: sqlite:///mlruns/mlflow.db, or http://host:port."""
    artifacts: Path | None
    """Folder of the runs' files, for SQLite; a server knows its own."""
    models: bool = True
    """Log each artifact as an MLflow model too, so that `mlflow models serve` runs it. On the disk of the store its
    files are links, which take no space; elsewhere copies."""
    experiment: Annotated[str, Field(min_length=1)] = EXPERIMENT
    """Name of the MLflow experiment."""
    tags: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Tags of every run: `+tracking.tags.team=search`."""

    @field_validator("uri")
    @classmethod
    def check_uri(cls, uri: str) -> str:
        return without_credentials(uri)

    def check(self) -> None:
        require("mlflow", f"tracking={self.name}")
        scheme = self.uri.partition("://")[0].partition("+")[0]
        if scheme not in self.schemes or not self.uri.partition("://")[2].strip("/"):
            raise UserError(f"tracking.uri={self.uri}: give sqlite:///FILE or http://HOST:PORT")
        if self.database is not None:
            if self.artifacts is None:
                raise UserError("tracking.artifacts=null: name the folder of the runs' files")
            check_database(self.database, f"tracking.uri={self.uri}")

    def prepare(self) -> None:
        if self.database is not None:
            try:
                self.database.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UserError(
                    f"tracking.uri={self.uri}: {error.strerror} ({self.database.parent}); give another file"
                ) from error
            if not os.access(self.database.parent, os.W_OK):
                raise UserError(
                    f"tracking.uri={self.uri}: {self.database.parent} cannot be written to; give another file"
                )
        from mlflow.exceptions import MlflowException

        try:
            with self.reached():
                _, experiment = self.open_experiment()
        except ServerUnreachable as error:
            log.warning("%s; the records are kept on disk: effcomp upload sends them", error)
            return
        except (MlflowException, OSError, sqlite3.Error) as error:
            denied = "error code 401" in str(error) or "error code 403" in str(error)
            way_on = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" if denied else "use tracking=none"
            raise UserError(f"tracking.uri={self.uri}: {mlflow_reason(error)}; {way_on}") from error
        if experiment.lifecycle_stage != "active":
            raise UserError(
                f"tracking.uri={self.uri}: its experiment {self.experiment!r} was deleted; restore it with "
                f"mlflow experiments restore --experiment-id {experiment.experiment_id}"
            )

    @property
    def database(self) -> Path | None:
        """Return the SQLite file; None for a server."""
        prefix = "sqlite:///"
        return Path(self.uri.removeprefix(prefix)).absolute() if self.uri.startswith(prefix) else None

    @contextmanager
    def reached(self) -> Iterator[None]:
        """Raise ServerUnreachable where MLflow says, after many words, that a server does not answer."""
        from mlflow.exceptions import MlflowException, RestException

        try:
            yield
        except (MlflowException, OSError) as error:
            answered = isinstance(error, RestException) or "failed with error code" in str(error)
            if self.database is not None or answered:
                raise
            raise ServerUnreachable(f"tracking.uri={self.uri} does not answer ({mlflow_reason(error)})") from error

    def open_experiment(self) -> "tuple[MlflowClient, Experiment]":
        """Return a client and effcomp's experiment. The database is made and migrated once, under a lock, because two
        processes that migrate SQLite at once break it. WAL lets readers and a writer work together.
        """
        from filelock import FileLock

        if self.database is None:
            client = open_client(self.uri)
            experiment = client.get_experiment_by_name(self.experiment)
            return client, experiment or client.get_experiment(
                client.create_experiment(self.experiment, tags=EXPERIMENT_TAGS)
            )
        with FileLock(f"{self.database}.lock"):
            if not self.database.exists():
                make_database(self.database)
            client = open_client(f"sqlite:///{self.database}?timeout={PATIENCE_S}")
            experiment = client.get_experiment_by_name(self.experiment)
            if experiment is None:
                with sqlite3.connect(self.database) as connection:
                    connection.execute("PRAGMA journal_mode=WAL")
                assert self.artifacts is not None, "conf/tracking/local.yaml names the folder"
                folder = self.artifacts.absolute().as_uri()
                number = client.create_experiment(self.experiment, artifact_location=folder, tags=EXPERIMENT_TAGS)
                experiment = client.get_experiment(number)
        return client, experiment

    def start_sweep(self, name: str, started_ms: int | None = None) -> str | None:
        with self.reached():
            client, experiment = self.open_experiment()
            close_abandoned(client, experiment.experiment_id)
            tags = self.own_tags() | {"kind": "sweep"}
            run = client.create_run(experiment.experiment_id, started_ms, tags, name[:LONGEST])
            return str(run.info.run_id)

    def own_tags(self) -> dict[str, str]:
        """Return the tags of every run of this process."""
        return {name: str(value)[:LONGEST_TAG] for name, value in self.tags.items()} | {
            PROCESS_TAG: process_name(os.getpid())
        }

    def log(
        self, result: "Result", artifact: Path | None, figures: "Mapping[str, Figure]", parent: str | None
    ) -> str | None:
        from effcomp.tracking.contents import log_files, log_input, log_model, log_numbers, tags_of

        record = result.record
        tags = self.own_tags() | tags_of(record)
        if parent is not None:
            tags[PARENT_TAG] = parent
        with self.reached():
            client, experiment = self.open_experiment()
            there = self.runs_of(client, experiment.experiment_id, record.to_json())
            if there:
                log.info("in MLflow already: run %s", there[0].info.run_id)
                return link(client, there[0], parent)
            with opened(client, experiment.experiment_id, label(record.config), tags, result) as run_id:
                log_numbers(client, run_id, result)
                log_input(client, run_id, record)
                log_files(client, run_id, result, figures)
                if self.models and artifact is not None:
                    return log_model(client, run_id, experiment.experiment_id, record, artifact)
        return None

    def log_failure(self, name: str, reason: str, parent: str | None) -> None:
        with self.reached():
            client, experiment = self.open_experiment()
            tags = self.own_tags() | {"kind": "failure", "reason": reason[:LONGEST_TAG], NOTE_TAG: reason[:LONGEST_TAG]}
            if parent is not None:
                tags[PARENT_TAG] = parent
            run = client.create_run(experiment.experiment_id, run_name=name[:LONGEST], tags=tags)
            client.set_terminated(run.info.run_id, status="FAILED")

    def runs_of(self, client: "MlflowClient", experiment: str, *texts: str) -> "list[Run]":
        """Return the finished runs that logged a Record with one of these texts."""
        found: list[Run] = []
        for text in dict.fromkeys(texts):
            wanted = f"tags.{RECORD_TAG} = '{text_hash(text)}' and attributes.status = 'FINISHED'"
            found += client.search_runs([experiment], wanted)
        return found

    def find(self, record_text: str, parent: str | None) -> bool:
        """Return True if a run with this Record is there; put one that was logged without its parent under it.

        Args:
            record_text: the line of JSON that is stored. A version that wrote an older schema logged the hash of that
                schema's line, this version that of the upgraded one; both are looked for.
        """
        with self.reached():
            client, experiment = self.open_experiment()
            upgraded = Record.from_json(record_text).to_json()
            found = self.runs_of(client, experiment.experiment_id, record_text.strip(), upgraded)
            for run in found:
                if parent is not None and PARENT_TAG not in run.data.tags:
                    client.set_tag(run.info.run_id, PARENT_TAG, parent)
        return bool(found)

    def has(self, run_id: str) -> bool:
        """Return True if a run of this id is there: someone may have emptied the store."""
        with self.reached():
            client, experiment = self.open_experiment()
            return bool(client.search_runs([experiment.experiment_id], f"attributes.run_id = '{run_id}'"))

    def end_sweep(self, parent: str | None, summary: Summary | None, failed: bool, ended_ms: int | None = None) -> None:
        from effcomp.tracking.contents import log_summary

        if parent is None:
            return
        with self.reached():
            client, _ = self.open_experiment()
            if summary is not None:
                log_summary(client, parent, summary)
            ended_ms = client.get_run(parent).info.end_time or ended_ms
            client.set_terminated(parent, status="FAILED" if failed else "FINISHED", end_time=ended_ms)

    def how_to_open(self) -> str:
        if self.database is None:
            return f"MLflow    {self.uri}"
        first = "" if find_spec("flask") else "pip install 'effcomp[ui]' && "  # mlflow-skinny has no pages
        command = f"{first}mlflow ui --host 127.0.0.1 --backend-store-uri {self.uri}"
        _, experiment = self.open_experiment()
        page = f"http://127.0.0.1:5000/#/experiments/{experiment.experiment_id}?{MODEL_TRAINING}"
        opened = f"open it   make ui, or where there is no clone:\n          {command}\nthen      {page}"
        return f"MLflow    {self.uri}\n{opened}"


@contextmanager
def opened(client: "MlflowClient", experiment: str, name: str, tags: dict[str, str], result: "Result") -> Iterator[str]:
    """Open a run that ends FINISHED at the result's time, or FAILED when its block raises: none stays RUNNING."""
    run_id = client.create_run(experiment, start_time=result.started_ms, run_name=name[:LONGEST], tags=tags).info.run_id
    try:
        yield run_id
    except BaseException:
        give_up(client, experiment, run_id)
        raise
    client.set_terminated(run_id, status="FINISHED", end_time=result.ended_ms)


def link(client: "MlflowClient", run: "Run", parent: str | None) -> str | None:
    """Put a run that is there under a sweep: as its child where its own sweep failed, else as a link that the
    description of the sweep shows. Return the id of its model, if it has one."""
    own = run.data.tags.get(PARENT_TAG)
    if parent is not None:
        if own is None or client.get_run(own).info.status in {"FAILED", "KILLED"}:
            client.set_tag(run.info.run_id, PARENT_TAG, parent)
        else:
            client.set_tag(parent, f"{LINK_TAG}{run.info.run_id}", run.info.run_name)
    wanted = f"source_run_id = '{run.info.run_id}'"
    models = client.search_logged_models([run.info.experiment_id], filter_string=wanted)
    return str(models[0].model_id) if models else None
