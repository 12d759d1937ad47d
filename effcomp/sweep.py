"""What surrounds the configurations of a multirun: the parent run before them, the report after them.

Hydra calls `SweepCallback` (conf/config.yaml). The jobs of a sweep may run in other processes, so they
meet in the sweep's folder: sweep.json names the parent run, and each job's folder holds its record.json
or, where it has none, outcome.json with the reason.
"""

import contextlib
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from effcomp.errors import EXIT_CODE, UserError

log = logging.getLogger(__name__)

SWEEP_FILE = "sweep.json"
OUTCOME_FILE = "outcome.json"


class SweepCallback(Callback):
    exit_code: ClassVar[int] = 0
    """0; 2 when configurations were refused; 1 when any failed. `effcomp.run.main` ends with it."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        from effcomp.compose import build_tracking

        folder = Path(config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        tracking = build_tracking(config)
        tracking.check()
        parent = tracking.start_sweep(" ".join(config.hydra.overrides.task) or folder.name)
        (folder / SWEEP_FILE).write_text(json.dumps({"parent_run": parent}))

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        from effcomp.compose import build_tracking
        from effcomp.record import RECORD_FILE
        from effcomp.report.build import write_report
        from effcomp.report.terminal import print_table

        folder = Path(config.hydra.sweep.dir)
        outcomes = [json.loads(file.read_text()) for file in sorted(folder.rglob(OUTCOME_FILE))]
        left_out = [f"{outcome['overrides']}: {outcome['status']}: {outcome['reason']}" for outcome in outcomes]
        failed = any(outcome["status"] == "failed" for outcome in outcomes)
        type(self).exit_code = 1 if failed else EXIT_CODE if outcomes else 0
        tracking = build_tracking(config)
        measured = any(folder.rglob(RECORD_FILE))
        if measured:
            report = write_report(folder, left_out)
            print_table(report.records, sys.stderr)
        for line in left_out:
            print(f"left out: {line}", file=sys.stderr)
        tracking.end_sweep(parent_run(folder), report.folder if measured else None, failed or not measured)
        if not measured:
            print("error: no configuration came through", file=sys.stderr)
            return
        print(f"page      {report.page}", file=sys.stderr)
        print(f"figures   {report.folder}/*.png", file=sys.stderr)
        print(f"records   {folder}/*/record.json", file=sys.stderr)
        print(tracking.how_to_open(), file=sys.stderr)


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
