"""Runs of MLflow that a process left open: it raised, or was killed."""

import logging
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

PROCESS_TAG = "process"
"""Tag with the process that logs a run."""


def process_name(pid: int) -> str:
    """Return a unique name of this process across machines: machine, number, start."""
    import psutil

    return f"{socket.gethostname()} {pid} {psutil.Process(pid).create_time():.2f}"


def give_up(client: "MlflowClient", experiment: str, run_id: str) -> None:
    """End a run as failed, and the model that it had begun to log."""
    from mlflow.entities import LoggedModelStatus

    client.set_terminated(run_id, status="FAILED")
    for model in client.search_logged_models([experiment], filter_string=f"source_run_id = '{run_id}'"):
        if model.status == LoggedModelStatus.PENDING:
            client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)


def close_abandoned(client: "MlflowClient", experiment: str) -> None:
    """Close as failed the runs that processes of this machine left open which are no more: they were killed."""
    import psutil

    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        host, pid, _ = run.data.tags.get(PROCESS_TAG, "? 0 0").rsplit(" ", 2)
        if host != socket.gethostname():
            continue
        if not psutil.pid_exists(int(pid)) or process_name(int(pid)) != run.data.tags[PROCESS_TAG]:
            log.info("closing a run in MLflow that a killed process left open: %s", run.info.run_name)
            give_up(client, experiment, run.info.run_id)
