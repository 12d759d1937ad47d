"""What surrounds the configurations of a multirun: the parent run before them, the report after them.

Hydra calls `SweepCallback` (conf/config.yaml). The jobs of a sweep may run in other processes, so they
meet in the sweep's folder: sweep.json names the parent run, and each job's folder holds its record.json
or, where it has none, outcome.json with the reason.
"""

import contextlib
import json
import logging
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from effcomp.errors import EXIT_CODE, UserError
from effcomp.record import RECORD_FILE
from effcomp.tracking import Tracking

log = logging.getLogger(__name__)

SWEEP_FILE = "sweep.json"
OUTCOME_FILE = "outcome.json"


class SweepCallback(Callback):
    """Hydra turns an exception in a callback into a warning; here it is said, and the command ends with 1."""

    exit_code: ClassVar[int] = 0
    """0; 2 when configurations were refused; 1 when any failed. `effcomp.run.main` ends with it."""
    open_sweep: ClassVar[tuple[Tracking, str | None] | None] = None
    """The tracking and the parent run of a sweep that has begun and not ended."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        from effcomp.compose import build_tracking

        folder = Path(config.hydra.sweep.dir)
        try:
            tracking = build_tracking(config)
            tracking.check()
            folder.mkdir(parents=True, exist_ok=True)
            parent = tracking.start_sweep(" ".join(config.hydra.overrides.task) or folder.name)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(EXIT_CODE)
        except Exception:
            traceback.print_exc()
            sys.exit(1)
        type(self).open_sweep = (tracking, parent)
        (folder / SWEEP_FILE).write_text(json.dumps({"parent_run": parent}))

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        assert self.open_sweep is not None, "a sweep that did not begin does not end"
        try:
            type(self).exit_code = finish(Path(config.hydra.sweep.dir), *self.open_sweep)
            type(self).open_sweep = None
        except Exception:
            traceback.print_exc()
            type(self).exit_code = 1

    @classmethod
    def abandon(cls) -> None:
        """Close the parent run of a sweep that was interrupted, as failed; none is left RUNNING."""
        if cls.open_sweep is not None:
            tracking, parent = cls.open_sweep
            cls.open_sweep = None
            tracking.end_sweep(parent, None, failed=True)


def finish(folder: Path, tracking: Tracking, parent: str | None) -> int:
    """Write and print the report of a sweep, close its parent run; the exit code of the command."""
    from effcomp.report.build import write_report
    from effcomp.report.terminal import print_table

    outcomes = [json.loads(file.read_text()) for file in sorted(folder.rglob(OUTCOME_FILE))]
    left_out = [f"{outcome['overrides']}: {outcome['status']}: {outcome['reason']}" for outcome in outcomes]
    failed = any(outcome["status"] == "failed" for outcome in outcomes)
    report = write_report(folder, left_out) if any(folder.rglob(RECORD_FILE)) else None
    if report is not None:
        print_table(report.records, sys.stderr)
    for line in left_out:
        print(f"left out: {line}", file=sys.stderr)
    tracking.end_sweep(parent, report.folder if report else None, failed or report is None)
    if report is None:
        print("error: no configuration came through", file=sys.stderr)
    else:
        print(f"page      {report.page}", file=sys.stderr)
        print(f"figures   {report.folder}/*.png", file=sys.stderr)
        print(f"records   {folder}/*/{RECORD_FILE}", file=sys.stderr)
        print(tracking.how_to_open(), file=sys.stderr)
    return 1 if failed else EXIT_CODE if outcomes else 0


@contextlib.contextmanager
def record_outcome(folder: Path) -> Iterator[None]:
    """An error of one configuration becomes a line of the sweep's report; an interrupt ends the sweep."""
    from hydra.core.hydra_config import HydraConfig

    overrides = " ".join(HydraConfig.get().overrides.task)
    try:
        yield
    except UserError as error:
        outcome = {"status": "refused", "reason": str(error)}
        log.error("%s", error)
    except Exception as error:
        outcome = {"status": "failed", "reason": f"{type(error).__name__}: {error}".splitlines()[0]}
        log.exception("this configuration failed; the others go on")
    else:
        return
    (folder / OUTCOME_FILE).write_text(json.dumps({"overrides": overrides, **outcome}) + "\n")


def parent_run(folder: Path | None) -> str | None:
    """The MLflow parent run of a sweep's folder; None outside a sweep or where nothing is tracked."""
    if folder is None:
        return None
    parent: str | None = json.loads((folder / SWEEP_FILE).read_text())["parent_run"]
    return parent
