"""Send the runs that are kept on disk to a tracking server: those that could not reach it, or were not tracked.

`effcomp upload` calls this. A run whose Record the server already has is not sent again.
"""

import json
import logging
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from effcomp.core.errors import UserError, first_line
from effcomp.record import RECORD_FILE
from effcomp.record.result import SERIES_FILE, Result, run_folders, stored_artifact
from effcomp.report.figures.single import figures_of
from effcomp.sweep.folder import OUTCOME_FILE, SWEEP_FILE, SweepDescription
from effcomp.sweep.summary import summary_of
from effcomp.tracking.mlflow_runs import MlflowTracking

log = logging.getLogger(__name__)


@dataclass
class Uploaded:
    """Counts of an upload's runs."""

    sent: int = 0
    there_already: int = 0
    without_model: int = 0
    """Number of sent runs whose artifacts are missing in the store, or changed."""


def upload(source: Path, tracking: MlflowTracking, *, every: bool) -> Uploaded:
    """Log the runs below a folder, those of a sweep under its parent run.

    Args:
        every: send also runs whose configs do not name this server.

    Raises:
        UserError: there is none, or one cannot be read.
        ServerUnreachable: the server does not answer.
    """
    folders = [folder for folder in run_folders(source) if (folder / SERIES_FILE).exists()]
    if not folders:
        raise UserError(f"{source} holds no run to upload: give the folder of a run or a sweep, say multirun/DATE/TIME")
    parents, ended_ms, done = dict[Path, str | None](), defaultdict[Path, int](int), Uploaded()
    for folder in folders:
        try:
            result = Result.read(folder)
            artifact = stored_artifact(result.record)
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{folder} cannot be read: {first_line(error)}") from error
        if not every and result.record.config["tracking"].get("uri") != tracking.uri:
            continue
        sweep = folder.parent
        if sweep not in parents:
            parents[sweep] = parent_on_server(sweep, tracking, result.started_ms)
        ended_ms[sweep] = max(ended_ms[sweep], result.ended_ms)
        if tracking.find((folder / RECORD_FILE).read_text(), parents[sweep]):
            done.there_already += 1
            continue
        done.without_model += artifact is None
        tracking.log(result, artifact, figures_of(result.record), parents[sweep])
        done.sent += 1
        log.info("sent %s", folder)
    for sweep, parent in parents.items():
        outcomes = [json.loads(file.read_text())["status"] for file in sweep.glob(f"*/{OUTCOME_FILE}")]
        tracking.end_sweep(parent, summary_of(sweep), "failed" in outcomes, ended_ms[sweep])
    return done


def parent_on_server(folder: Path, tracking: MlflowTracking, started_ms: int) -> str | None:
    """Return the sweep's parent run on the server, made where there is none; None for a folder that is no sweep's.

    Args:
        started_ms: time of the start of the sweep's first run.
    """
    if not (folder / SWEEP_FILE).exists():
        return None
    sweep = SweepDescription.read(folder)
    if sweep.parent_run is None or sweep.uri != tracking.uri or not tracking.has(sweep.parent_run):
        sweep = replace(sweep, parent_run=tracking.start_sweep(sweep.name, started_ms), uri=tracking.uri)
        sweep.write(folder)
    return sweep.parent_run
