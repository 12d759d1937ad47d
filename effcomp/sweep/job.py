"""Execution of one configuration, in a sweep in a process of its own.

    python -m effcomp.sweep.job

A configuration that the kernel kills for memory, or that crashes in a library, then fails alone and does not end the
sweep. The process takes one configuration after another (its imports take seconds), and a new one is
started after a failure.
"""

import atexit
import json
import logging
import logging.config
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from effcomp.core.device import WAITING
from effcomp.core.errors import UserError, first_line, lacks_room
from effcomp.core.failure import failure_line, kept_traceback
from effcomp.core.garbage import collect_seldom
from effcomp.core.process import Process, ProcessFailed, leave, serve, start
from effcomp.core.store import write_at_once
from effcomp.sweep.folder import MODEL_FILE, NOT_LOGGED, OUTCOME_FILE, claim, parent_run
from effcomp.sweep.progress import place, say_begin, say_end
from effcomp.tracking.base import ServerUnreachable

if TYPE_CHECKING:
    from hydra.conf import HydraConf
    from matplotlib.figure import Figure
    from omegaconf import DictConfig

    from effcomp.measure.client import KeptTemplate
    from effcomp.record import Record
    from effcomp.record.result import Result
    from effcomp.tracking.base import Tracking

log = logging.getLogger(__name__)


def quieten() -> None:
    """Silence messages that a user cannot act on: load reports for a new head, bars for reading 100 tensors, warnings
    of each retry of a download (the last one's error ends the run), notes on a model that is logged or exported,
    bitsandbytes' advice to install a package that fetches kernels from the Hub, urllib3's retries of a tracking server
    that effcomp reports in one line. Let OpenMP threads sleep while they wait. Call it before these libraries are
    imported, in every process that will; a variable that the user set stays.
    """
    for name, value in WAITING.items():
        os.environ.setdefault(name, value)
    for library in ("TRANSFORMERS", "HF_HUB", "DATASETS"):
        os.environ.setdefault(f"{library}_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("TORCH_LOGS", "-onnx")
    for library in ("bitsandbytes", "urllib3"):
        logging.getLogger(library).setLevel(logging.ERROR)
    logging.raiseExceptions = False  # on a full disk each line of run.log would print a traceback


class Finished(NamedTuple):
    """Configuration that was measured; its result is in its folder."""

    result: "Result"
    model_id: str | None
    """Id of the model in MLflow; None where none was logged."""
    not_logged: str | None = None
    """Reason why showing or logging it failed, and how to send it later."""


def execute(config: "DictConfig", folder: Path, sweep: Path | None, template: "KeptTemplate | None" = None) -> Finished:
    """Build and check the components, run them, and leave the result in the folder and in MLflow.

    Args:
        sweep: the folder of the sweep that the configuration belongs to.
        template: template of the measured processes of the sweep's configurations.

    Raises:
        UserError: the configuration cannot work, or the sweep holds it already.
    """
    from effcomp.pipeline.checks import check
    from effcomp.pipeline.compose import build, pin

    # Deprecation warnings concern developers, not users.
    warnings.simplefilter("ignore", FutureWarning)
    parts = build(config, in_product=sweep is not None)
    if sweep is not None:
        claim(sweep, folder, parts.config)
    parts = pin(parts)
    check(parts, in_sweep=sweep is not None)

    from effcomp.core.store import Store
    from effcomp.pipeline.run import run  # imported here, so that a refused configuration does not wait for it

    result = run(parts, template)
    result.write(folder)
    later = f"to send it later: effcomp upload {folder}"
    try:
        if sweep is not None:
            summarize(result, folder)
        artifact = Store(parts.store).find("artifact", result.record.truth.artifact)
        figures = figures_for(parts.tracking, result.record)
        return Finished(result, parts.tracking.log(result, artifact, figures, parent_run(sweep)))
    except ServerUnreachable as error:
        return Finished(result, None, f"measured and kept in {folder}, not logged: {error}; {later}")
    except Exception as error:  # the result is kept, whatever fails after it
        reason = f"measured and kept in {folder}, not logged ({first_line(error)})"
        return Finished(result, None, f"{reason}; {later}; {kept_traceback(error, folder)}")


def figures_for(tracking: "Tracking", record: "Record") -> "dict[str, Figure]":
    """Draw the figures of a run that is tracked; matplotlib is not imported for one that is not."""
    if tracking.uri is None:
        return {}
    from effcomp.report.figures.single import figures_of

    return figures_of(record)


def summarize(result: "Result", folder: Path) -> None:
    from effcomp.record import RECORD_FILE
    from effcomp.report.rows import rows
    from effcomp.report.words import doubts

    row = rows([result.record])[0]
    for doubt in doubts(row):
        log.warning("%s", doubt)
    log.info("record: %s", folder / RECORD_FILE)


class JobProcess:
    """Client of the process that runs the configurations of a sweep."""

    process: ClassVar[Process | None] = None

    @classmethod
    def run(cls, config: Any, folder: Path, sweep: Path, logging_config: Any, cwd: Path) -> dict[str, Any]:
        """Run one configuration there; return its outcome: {"status": "done", "model_id": ...}, or with a reason
        "refused", "skipped", "failed" or NOT_LOGGED.

        Args:
            config, logging_config: as plain JSON values.
            cwd: the folder that the sweep was started in.

        Raises:
            ProcessFailed: an unexpected exception, or the process died.
        """
        if cls.process is None:
            cls.process = Process(start("effcomp.sweep.job", {}, cwd), "the process of this configuration")
            atexit.register(cls.close)
        try:
            return cls.process.ask(
                "run", config=config, folder=str(folder), sweep=str(sweep), logging_config=logging_config
            )
        except BaseException:
            cls.close()
            raise

    @classmethod
    def close(cls) -> None:
        """End the process; work in progress stays under temporary names, so that nothing is half-written."""
        process, cls.process = cls.process, None
        if process is not None:
            process.close()


def run_in_sweep(config: "DictConfig", hydra_config: "HydraConf") -> None:
    """Run one configuration of a sweep in a process of its own; the reason for a missing record becomes a line of the
    sweep's report."""
    from omegaconf import OmegaConf

    folder, sweep = Path(hydra_config.runtime.output_dir), Path(hydra_config.sweep.dir)
    overrides = list(hydra_config.overrides.task)
    say_begin(sweep, folder, overrides)
    plain = OmegaConf.to_container(config, resolve=True)
    logging_config = OmegaConf.to_container(hydra_config.job_logging, resolve=True)
    try:
        outcome = JobProcess.run(plain, folder, sweep, logging_config, Path(hydra_config.runtime.cwd))
    except ProcessFailed as error:
        outcome = {"status": "failed", "reason": failure_line(error, folder), "same_as": None}
    if outcome["status"] != "done":
        log.warning("%s: %s: %s", place(sweep, folder), outcome["status"], outcome["reason"])
        write_at_once(folder / OUTCOME_FILE, json.dumps({"overrides": overrides, **outcome}) + "\n")
    elif outcome["model_id"] is not None:
        write_at_once(folder / MODEL_FILE, outcome["model_id"])
    say_end(sweep, folder, overrides)


class JobCommands:
    """Commands of the process."""

    def __init__(self, template: "KeptTemplate") -> None:
        self.template = template

    def run(self, config: dict[str, Any], folder: str, sweep: str, logging_config: dict[str, Any]) -> dict[str, Any]:
        from omegaconf import OmegaConf

        logging.config.dictConfig(logging_config)
        try:
            finished = execute(OmegaConf.create(config), Path(folder), Path(sweep), self.template)
        except UserError as error:
            return {"status": error.status, "reason": str(error), "same_as": error.same_as}
        except OSError as error:
            if not lacks_room(error):
                raise
            return {"status": "failed", "reason": failure_line(error, Path(folder)), "same_as": None}
        if finished.not_logged is not None:
            return {"status": NOT_LOGGED, "reason": finished.not_logged, "same_as": None}
        return {"status": "done", "model_id": finished.model_id}


def main() -> None:
    """Run the configurations that the sweep asks for, until standard input closes."""
    from effcomp.measure.client import KeptTemplate

    quieten()
    collect_seldom()
    with KeptTemplate() as template:
        serve(JobCommands(template))
    leave()


if __name__ == "__main__":
    main()
