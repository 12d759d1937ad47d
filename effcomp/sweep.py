"""What surrounds the configurations of a multirun: the parent run before them, the report after them.

Hydra calls `SweepCallback` (conf/config.yaml). The jobs of a sweep may run in other processes, so they
meet in the sweep's folder: sweep.json names the parent run, and each job's folder holds its record.json
or, where it has none, outcome.json with the reason.
"""

import json
import logging
import os
import sys
import traceback
from pathlib import Path
from typing import Any, ClassVar

from hydra.conf import HydraConf
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from effcomp.errors import EXIT_CODE, Skipped, UserError
from effcomp.job import JobProcess
from effcomp.process import ProcessFailed
from effcomp.record import RECORD_FILE
from effcomp.store import key_hash
from effcomp.tracking.base import Tracking, Unreachable

log = logging.getLogger(__name__)

SWEEP_FILE = "sweep.json"
OUTCOME_FILE = "outcome.json"
CLAIMS_FOLDER = "claims"
"""Holds a file for each configuration, by its hash, with the number of the one that runs it."""


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
            name = sweep_name(config.hydra.overrides.task) or folder.name
            parent = open_parent(tracking, name)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(EXIT_CODE)
        except Exception:
            traceback.print_exc()
            sys.exit(1)
        type(self).open_sweep = (tracking, parent)
        sweep = {"name": name, "parent_run": parent, "uri": tracking.uri}
        (folder / SWEEP_FILE).write_text(json.dumps(sweep))

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        assert self.open_sweep is not None, "a sweep that did not begin does not end"
        try:
            type(self).exit_code = finish(Path(config.hydra.sweep.dir), config.hydra.overrides.task, *self.open_sweep)
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
            close_parent(tracking, parent, None, failed=True)


def open_parent(tracking: Tracking, name: str) -> str | None:
    """The sweep's parent run; None where nothing is tracked or the server does not answer, which it has said."""
    try:
        return tracking.start_sweep(name)
    except Unreachable:
        return None


def close_parent(tracking: Tracking, parent: str | None, results: Path | None, failed: bool) -> None:
    try:
        tracking.end_sweep(parent, results, failed)
    except Unreachable as error:
        log.warning("the sweep's report was not logged: %s", error)


def sweep_name(overrides: list[str]) -> str:
    """What a sweep is called: what varies in it, or all that was typed where that is elsewhere."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    varied = [typed for typed, override in zip(overrides, parsed, strict=True) if override.is_sweep_override()]
    return " ".join(varied or overrides)


def finish(folder: Path, typed: list[str], tracking: Tracking, parent: str | None) -> int:
    """Write and print the report of a sweep, close its parent run; the exit code of the command.

    Args:
        typed: the command's own overrides: what of a configuration's stands there as it is, is the same in all.
    """
    from effcomp.report.build import write_report
    from effcomp.report.terminal import print_table

    for file in in_order(folder, RECORD_FILE):
        print(file.read_text(), end="", flush=True)
    outcomes = [json.loads(file.read_text()) for file in in_order(folder, OUTCOME_FILE)]
    left_out = []
    for outcome in outcomes:
        varied = [override for override in outcome["overrides"] if override not in typed]
        left_out.append(f"{' '.join(varied or outcome['overrides'])}: {outcome['status']}: {outcome['reason']}")
    statuses = {outcome["status"] for outcome in outcomes}
    failed = "failed" in statuses
    report = write_report(folder, left_out) if any(folder.rglob(RECORD_FILE)) else None
    if report is not None:
        print_table(report.records, sys.stderr)
    for line in left_out:
        print(f"left out: {line}", file=sys.stderr)
    close_parent(tracking, parent, report.folder if report else None, failed or report is None)
    if report is None:
        print("error: no configuration came through", file=sys.stderr)
    else:
        print(f"page      {os.path.relpath(report.page)}", file=sys.stderr)
        print(f"figures   {os.path.relpath(report.folder)}/*.png", file=sys.stderr)
        print(f"records   {os.path.relpath(folder)}/*/{RECORD_FILE}", file=sys.stderr)
        print(tracking.how_to_open(), file=sys.stderr)
    return 1 if failed else EXIT_CODE if report is None or "refused" in statuses else 0


def in_order(folder: Path, name: str) -> list[Path]:
    """The files of this name in the folders of the configurations, as these were numbered."""
    files = folder.glob(f"*/{name}")
    return sorted(files, key=lambda file: (len(file.parent.name), file.parent.name))


def run_in_sweep(config: DictConfig, hydra_config: HydraConf) -> None:
    """One configuration of a sweep, in the process of its own; whatever keeps it from a record becomes a line of the
    sweep's report."""
    folder, sweep = Path(hydra_config.runtime.output_dir), Path(hydra_config.sweep.dir)
    plain = OmegaConf.to_container(config, resolve=True)
    logging_config = OmegaConf.to_container(hydra_config.job_logging, resolve=True)
    try:
        outcome = JobProcess.run(plain, folder, sweep, logging_config, Path(hydra_config.runtime.cwd))
    except ProcessFailed as error:
        log.error("%s", error)
        outcome = {"status": "failed", "reason": str(error).splitlines()[0], "same_as": None}
    if outcome["status"] == "done":
        return
    log.warning("configuration %s: %s: %s", folder.name, outcome["status"], outcome["reason"])
    overrides = list(hydra_config.overrides.task)
    (folder / OUTCOME_FILE).write_text(json.dumps({"overrides": overrides, **outcome}) + "\n")


def claim(sweep: Path, folder: Path, config: dict[str, Any]) -> None:
    """Note in the sweep's folder that this configuration is in it.

    Raises:
        Skipped: another folder of the sweep has the same.
    """
    claims = sweep / CLAIMS_FOLDER
    claims.mkdir(exist_ok=True)
    file = claims / key_hash(config)
    try:
        with file.open("x") as stream:
            stream.write(folder.name)
    except FileExistsError as error:
        first = file.read_text()
        raise Skipped(f"the same configuration as number {first}", same_as=first) from error


def parent_run(folder: Path | None) -> str | None:
    """The MLflow parent run of a sweep's folder; None outside a sweep or where nothing is tracked."""
    if folder is None:
        return None
    parent: str | None = json.loads((folder / SWEEP_FILE).read_text())["parent_run"]
    return parent
