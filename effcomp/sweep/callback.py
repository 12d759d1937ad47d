"""Sweep callback: open the parent run before the configurations of a multirun, write the report after them.

The sweepers (hydra_plugins/) call `SweepCallback.begin` when they have composed every configuration, and Hydra calls
the rest of it (conf/config.yaml). The jobs of a sweep may run in other processes, so they meet in the sweep's folder:
sweep.json names the parent run, and each job's folder holds its record.json or, where it has none, outcome.json with
the reason.
"""

import contextlib
import json
import logging
import os
import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TextIO

from hydra.conf import HydraConf
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from effcomp.core.errors import REFUSED, UserError
from effcomp.core.failure import failure_line
from effcomp.core.process import ProcessFailed, take_stdout
from effcomp.core.store import write_at_once
from effcomp.core.writable import check_writable
from effcomp.record import RECORD_FILE, Record
from effcomp.sweep.folder import (
    ANSWER_FILE,
    ANSWER_TEXT,
    MODEL_FILE,
    NOT_LOGGED,
    OUTCOME_FILE,
    OVERRIDES_FILE,
    SEARCH_FIGURE,
    SWEEP_FILE,
    in_order,
)
from effcomp.sweep.job import JobProcess
from effcomp.sweep.progress import place, say_begin, say_end, varied
from effcomp.sweep.summary import left_out_of, outcomes_of, summary_of
from effcomp.tracking.base import ServerUnreachable, Tracking

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sweep:
    """Sweep in progress."""

    folder: Path
    typed: list[str]
    """Overrides of the command."""
    tracking: Tracking
    parent: str | None
    records: TextIO
    """Original standard output, for records alone; all other output goes to standard error."""


@dataclass(frozen=True)
class PrintedAnswer:
    """Answer of a search: for people, and for a program."""

    text: str
    json: str
    exit_code: int
    figure: "Figure"

    def write(self, folder: Path) -> None:
        (folder / ANSWER_TEXT).write_text(f"{self.text}\n")
        (folder / ANSWER_FILE).write_text(f"{self.json}\n")
        self.figure.savefig(folder / SEARCH_FIGURE)


class SweepCallback(Callback):
    """Callback of Hydra for sweeps. Hydra turns an exception in a callback into a warning; here it is reported, and the
    command ends with exit code 1."""

    exit_code: ClassVar[int] = 0
    """Exit code of `effcomp.run.main`: 0; 2 when configurations were refused; 1 when any failed; a search's own."""
    sweep: ClassVar[Sweep | None] = None
    answer: ClassVar[PrintedAnswer | None] = None
    """Answer of a search, which is printed after the report."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Refuse Hydra's own sweeper, which would run configurations of a sweep that did not begin."""
        if not config.hydra.sweeper._target_.startswith("hydra_plugins.effcomp_"):
            choice = config.hydra.runtime.choices["hydra/sweeper"]
            print(f"error: hydra/sweeper={choice}: use hydra/sweeper=product, optuna or find", file=sys.stderr)
            sys.exit(REFUSED)

    @classmethod
    def begin(cls, config: DictConfig, configurations: int, name: str | None = None) -> None:
        """Begin the sweep before its first configuration. Nothing is written earlier, so that a command that does not
        compose leaves no files.

        Args:
            configurations: their number; for a search its maximum.
            name: of the parent run; None for the overrides that vary.
        """
        try:
            cls.sweep = begin(config, configurations, name)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(REFUSED)
        except Exception as error:
            print(f"error: {failure_line(error, Path(config.hydra.sweep.dir))}", file=sys.stderr)
            sys.exit(1)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        """Drop the job's configs: Hydra keeps each job's return, with two copies of its config, until the last has
        ended.
        """
        job_return.cfg = job_return.hydra_cfg = None

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        self.finish()

    @classmethod
    def finish(cls, said: str = "") -> None:
        """Report on the configurations that finished, also where the launcher itself has failed.

        Args:
            said: the line that tells the launcher's failure, which the report may meet again (a full disk).
        """
        sweep = cls.sweep
        assert sweep is not None, "a sweep that did not begin does not end"
        try:
            cls.exit_code = finish(sweep, cls.answer, failure_said=bool(said))
            cls.sweep = None
        except Exception as error:
            if (line := failure_line(error, sweep.folder)) != said:
                print(f"error: {line}", file=sys.stderr)
            cls.exit_code = 1

    @classmethod
    def abandon(cls) -> None:
        """Close the parent run of an interrupted sweep as failed; remove the folder of one without a configuration."""
        sweep, cls.sweep = cls.sweep, None
        if sweep is None:
            return
        close_parent(sweep, [], failed=True)
        if not in_order(sweep.folder, OVERRIDES_FILE):
            shutil.rmtree(sweep.folder)
            with contextlib.suppress(OSError):
                for empty in sweep.folder.parents[:2]:
                    empty.rmdir()


def begin(config: DictConfig, configurations: int, name: str | None) -> Sweep:
    """Make the sweep's folder, open the parent run and write its name there.

    Raises:
        UserError: the tracking store cannot be used, or the sweep's folder cannot be made.
    """
    from effcomp.pipeline.compose import build_tracking

    folder, typed = Path(config.hydra.sweep.dir), list(config.hydra.overrides.task)
    tracking = build_tracking(config)
    tracking.check()
    check_writable(folder, "hydra.sweep.dir")
    tracking.prepare()
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, folder / "multirun.yaml")
    name = name or sweep_name(typed) or folder.name
    parent = open_parent(tracking, name)
    common = common_to_all(typed)
    known = {
        "name": name,
        "parent_run": parent,
        "uri": tracking.uri,
        "common": common,
        "configurations": configurations,
    }
    write_at_once(folder / SWEEP_FILE, json.dumps(known))
    return Sweep(folder, typed, tracking, parent, take_stdout())


def open_parent(tracking: Tracking, name: str) -> str | None:
    """Open the sweep's parent run; None where nothing is tracked, or the server does not answer (which is logged)."""
    try:
        return tracking.start_sweep(name)
    except ServerUnreachable:
        return None


def close_parent(sweep: Sweep, outcomes: list[dict[str, Any]], failed: bool) -> None:
    """Log the configurations that failed, and the report where there is one; close the parent run."""
    try:
        for outcome in outcomes:
            if outcome["status"] == "failed":
                sweep.tracking.log_failure(varied(sweep.folder, outcome["overrides"]), outcome["reason"], sweep.parent)
        sweep.tracking.end_sweep(sweep.parent, summary_of(sweep.folder), failed)
    except ServerUnreachable as error:
        log.warning("the sweep's report was not logged: %s", error)


def sweep_name(overrides: list[str]) -> str:
    """Return the name of a sweep: the overrides that vary, or all that were typed where none does."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    several = [typed for typed, override in zip(overrides, parsed, strict=True) if override.is_sweep_override()]
    return " ".join(several or overrides)


def common_to_all(overrides: list[str]) -> list[str]:
    """Return the overrides that do not vary, as Hydra's sweeper hands them to each configuration (`http\\://HOST`)."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    same = [override for override in parsed if not override.is_sweep_override()]
    return [f"{override.get_key_element()}={override.get_value_element_as_str()}" for override in same]


def finish(sweep: Sweep, answer: PrintedAnswer | None, *, failure_said: bool) -> int:
    """Write and print the report of a sweep, close its parent run; return the exit code of the command.

    Args:
        answer: what a search has found; None of a sweep that is no search.
        failure_said: the launcher has failed, and its error is printed.
    """
    from effcomp.pipeline.again import ways_on_from_sweep
    from effcomp.report.build import write_report
    from effcomp.report.table.terminal import print_comparison

    records = in_order(sweep.folder, RECORD_FILE)
    for file in records:
        print(file.read_text(), end="", flush=True, file=sweep.records)
    outcomes = outcomes_of(sweep.folder)
    statuses = Counter(outcome["status"] for outcome in outcomes)
    left_out = left_out_of(sweep.folder)
    failed = "failed" in statuses
    report = write_report(sweep.folder, left_out) if records else None
    if report is not None:
        if answer is not None:
            answer.write(report.folder)
        print_comparison(report.comparison, report.further, sys.stderr)
    for line in left_out:
        print(f"left out: {line}", file=sys.stderr)
    close_parent(sweep, outcomes, failed or report is None)
    if report is not None:
        print(f"page      {os.path.relpath(report.page)}", file=sys.stderr)
        print(f"figures   {os.path.relpath(report.folder)}/*.png", file=sys.stderr)
        print(f"records   {os.path.relpath(sweep.folder)}/*/{RECORD_FILE}", file=sys.stderr)
        print(sweep.tracking.how_to_open(), file=sys.stderr)
        if answer is None:
            ways_on = ways_on_from_sweep([Record.read(file) for file in records], sweep.folder, sweep.typed)
            print(ways_on, file=sys.stderr)
    elif not failure_said:
        print("error: no configuration came through", file=sys.stderr)
    if statuses[NOT_LOGGED]:
        later = f"to send them later: effcomp upload {os.path.relpath(sweep.folder)}"
        print(f"error: {statuses[NOT_LOGGED]} measured, kept and not logged; {later}", file=sys.stderr)
    if answer is not None:
        print(answer.text, file=sys.stderr)
        return answer.exit_code
    return 1 if failed or statuses[NOT_LOGGED] else REFUSED if report is None or "refused" in statuses else 0


def run_in_sweep(config: DictConfig, hydra_config: HydraConf) -> None:
    """Run one configuration of a sweep in a process of its own; the reason for a missing record becomes a line of the
    sweep's report."""
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
