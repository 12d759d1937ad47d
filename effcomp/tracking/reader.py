"""Records that were logged to an MLflow tracking store."""

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from effcomp.core.errors import UserError
from effcomp.core.packages import require
from effcomp.record import RECORD_FILE
from effcomp.record.result import SERIES_FILE, RecordText
from effcomp.tracking.database import check_database, mlflow_reason, open_client, without_credentials

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

SQLITE = "sqlite:///"
CONFIGURATIONS = "tags.kind = 'configuration' and tags.record LIKE '%' and attributes.status = 'FINISHED'"


def logged(uri: str) -> Iterator[RecordText]:
    """Yield the record of each finished configuration as it was logged, with its series where there is one.

    Raises:
        UserError: the store does not answer, nothing of effcomp is in it, or its URI holds credentials.
    """
    without_credentials(uri)
    require("mlflow", f"reading {uri}")
    if uri.startswith(SQLITE):
        file = Path(uri.removeprefix(SQLITE)).absolute()
        if not file.is_file():  # MLflow would make one
            raise UserError(f"{uri}: there is no such file; runs with tracking=local write sqlite:///mlruns/mlflow.db")
        check_database(file, uri)
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield from texts(open_client(uri), uri)
    except (MlflowException, SQLAlchemyError, OSError, sqlite3.Error) as error:
        reason = f"{uri} cannot be read: {mlflow_reason(error)}"
        raise UserError(f"{reason}; give sqlite:///FILE, http://HOST:PORT or a folder") from error


def texts(client: "MlflowClient", uri: str) -> Iterator[RecordText]:
    """Yield the records of all experiments: `tracking.experiment` names each."""
    experiments, page, any_run = [one.experiment_id for one in client.search_experiments()], None, False
    while page != "":
        runs = client.search_runs(experiments, CONFIGURATIONS, page_token=page)
        for run in runs:
            any_run = True
            yield fetched(client, run.info.run_id, f"{RECORD_FILE} of run {run.info.run_id} in {uri}")
        page = runs.token or ""
    if not any_run:
        raise UserError(f"{uri} has no run of effcomp: nothing was logged there; give the store of tracking.uri")


def fetched(client: "MlflowClient", run_id: str, place: str) -> RecordText:
    names = {file.path for file in client.list_artifacts(run_id)}
    with tempfile.TemporaryDirectory(prefix="effcomp-") as scratch:
        contents = {
            name: Path(client.download_artifacts(run_id, name, scratch)).read_text(errors="replace")
            for name in (RECORD_FILE, SERIES_FILE)
            if name in names
        }
    if RECORD_FILE not in contents:
        raise UserError(f"{place} is gone: delete that run, or give the folder of the runs instead")
    return RecordText(place, contents[RECORD_FILE], contents.get(SERIES_FILE))
