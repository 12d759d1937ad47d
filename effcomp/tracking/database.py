"""Access to a tracking store: a client, and a check that an SQLite file is MLflow's and complete.

MLflow retries an unreachable server for minutes, gives up a locked SQLite file after 20 s, and creates its tables in
any file that it is given.
"""

import logging
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effcomp.core.errors import UserError
from effcomp.tracking.names import NOTE_TAG

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

EXPERIMENT = "effcomp"
"""Experiment of all runs."""
EXPERIMENT_TAGS = {
    "mlflow.experimentKind": "custom_model_development",
    NOTE_TAG: "Choose *Model training* at the top left. A sweep of effcomp is a parent run with a table, links and the "
    "front; its configurations stand beneath. Metrics without a slash are the ones to show as columns; the others fold "
    "by section: quality/, speed/, cost/, truth/, training/, trace/. A step of trace/ and of system/ is a second.",
}
"""Kind and description. MLflow's pages from 3.17 on ignore the kind: the address or a switch in the browser chooses
between runs and models, and prompts and traces (MODEL_TRAINING)."""
MODEL_TRAINING = "workflowType=machine_learning"
"""Query of an address of MLflow's pages for runs and models."""
PATIENCE_S = 120
"""Seconds that a write waits for another process to release the SQLite file."""
CREDENTIALS = re.compile(
    r"https?://.*@|(?!sqlite)\w[\w+]*://[^@]*:.*@|.*[?&][^=&]*(pass|token|secret|key)[^=&]*=", re.IGNORECASE
)
"""A URI with a user or a password before the host, or with a token after it."""


def check_database(file: Path, whose: str) -> None:
    """Raise UserError for a file that is no SQLite database of MLflow's: MLflow would retry for minutes, or make its
    tables in it."""
    if not file.exists():
        return
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
            names = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
    except sqlite3.Error as error:
        raise UserError(f"{whose}: {error}; give another file") from error
    if names and "experiments" not in names:
        raise UserError(f"{whose}: that database is not MLflow's; give another file")


def open_client(uri: str) -> "MlflowClient":
    """Return a client that logs little, and fails within seconds where a server does not answer (MLflow: minutes)."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    from mlflow.tracking import MlflowClient
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    if not event.contains(Engine, "before_cursor_execute", wait_longer):
        event.listen(Engine, "before_cursor_execute", wait_longer, retval=True)
    return MlflowClient(uri)


def wait_longer(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> tuple[str, Any]:
    """Raise the time-out of a locked SQLite file, for SQLAlchemy: MLflow sets 20 s in every session."""
    if statement.startswith("PRAGMA busy_timeout"):
        statement = f"PRAGMA busy_timeout = {1000 * PATIENCE_S}"
    return statement, parameters


def make_database(file: Path) -> None:
    """Make MLflow's tables under a temporary name, and rename the complete file: MLflow can neither use nor repair a
    database whose creation was interrupted.
    """
    for left in file.parent.glob(f"{file.name}.building*"):
        left.unlink()
    building = file.with_name(f"{file.name}.building")
    open_client(f"sqlite:///{building}").get_experiment_by_name(EXPERIMENT)
    building.rename(file)


def without_credentials(uri: str) -> str:
    """Return the URI unchanged; refuse credentials, because every record, log and run repeats the config.

    Raises:
        UserError: it holds credentials; the message does not repeat them.
    """
    if CREDENTIALS.match(uri):
        raise UserError(
            "the tracking URI holds credentials, which would stand in every record: give them to a server as "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or as MLFLOW_TRACKING_TOKEN, and to a database "
            "in its own file (~/.pgpass, ~/.my.cnf)"
        )
    return uri


def mlflow_reason(error: Exception) -> str:
    return str(error).splitlines()[0].partition(": HTTP")[0].partition(" with url")[0][:200]
