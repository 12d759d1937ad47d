"""Begin and end of a sweep: its folder and parent run before the configurations, the report after them."""

import logging
import os
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from effcomp.core.errors import REFUSED
from effcomp.core.process import take_stdout
from effcomp.core.writable import check_writable
from effcomp.record import RECORD_FILE, Record
from effcomp.sweep.folder import (
    ANSWER_FILE,
    ANSWER_TEXT,
    NOT_LOGGED,
    SEARCH_FIGURE,
    SweepDescription,
    in_order,
)
from effcomp.sweep.progress import varied
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
    SweepDescription(name, parent, tracking.uri, common_to_all(typed), configurations).write(folder)
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


def common_to_all(overrides: list[str]) -> tuple[str, ...]:
    """Return the overrides that do not vary, as Hydra's sweeper hands them to each configuration (`http\\://HOST`)."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    same = [override for override in parsed if not override.is_sweep_override()]
    return tuple(f"{override.get_key_element()}={override.get_value_element_as_str()}" for override in same)


def finish(sweep: Sweep, answer: PrintedAnswer | None, *, failure_said: bool) -> int:
    """Write and print the report of a sweep, close its parent run; return the exit code of the command.

    Args:
        answer: what a search has found; None of a sweep that is no search, and of a search that failed.
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
    left_out = left_out_of(sweep.folder, outcomes)
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
