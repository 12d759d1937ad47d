"""Sources of records: folders, files with a record on each line, MLflow."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effcomp.core.errors import UserError
from effcomp.record import RECORD_FILE, Record
from effcomp.record.result import SERIES_FILE, RecordText, run_folders

REPORT_FOLDER = "results"
"""Folder of a report, in the folder that its records come from."""

Curve = list[dict[str, float]]
"""Training curve: {"step", "loss", "learning_rate"} or {"step", "eval_loss"} for each time it was logged."""


@dataclass(frozen=True)
class RecordWithCurves:
    """A record with the curves of its trainings, where they were kept."""

    record: Record
    training_curve: Curve
    recovery_curve: Curve


def find_records(source: Path) -> list[Record]:
    """Return the records of a folder (each record.json below it) or of a file (one on each line), the baseline first.

    Raises:
        UserError: there is none, or one is of another version or damaged.
    """
    return [found.record for found in find([str(source)])]


def find(sources: Sequence[str]) -> list[RecordWithCurves]:
    """Return the records of all sources, each measurement once; the baseline first, then by time.

    Raises:
        UserError: a source is not there or has no record, or a record is of another version or damaged.
    """
    found = [parsed(text) for source in sources for text in texts(source)]
    return sorted(distinct(found), key=lambda one: (not one.record.is_baseline, one.record.truth.time))


def is_uri(source: str) -> bool:
    return "://" in source


def texts(source: str) -> Iterator[RecordText]:
    path, empty = Path(source), True
    if is_uri(source):
        from effcomp.tracking.reader import logged

        found = logged(source)
    elif path.is_file():
        found = in_file(path)
    elif path.is_dir():
        found = in_folder(path)
    else:
        raise UserError(f"{source} does not exist: give the folder of a sweep, say multirun/DATE/TIME")
    for text in found:
        empty = False
        yield text
    if empty:
        raise UserError(f"{source} holds no {RECORD_FILE}: give the folder of a run or a sweep, say multirun/DATE/TIME")


def in_file(file: Path) -> Iterator[RecordText]:
    for number, line in enumerate(file.read_text(errors="replace").splitlines(), start=1):
        yield RecordText(f"{file}:{number}", line, None)


def in_folder(folder: Path) -> Iterator[RecordText]:
    for run in run_folders(folder):
        file, series = run / RECORD_FILE, run / SERIES_FILE
        beside = series.read_text(errors="replace") if series.exists() else None
        yield RecordText(str(file), file.read_text(errors="replace"), beside)


def parsed(text: RecordText) -> RecordWithCurves:
    """Parse a record and its curves.

    Raises:
        UserError: the record or the curves are damaged.
    """
    try:
        record = Record.from_json(text.record)
    except ValueError as error:
        reason = f"{text.place} is no record that this version reads: {error}"
        raise UserError(f"{reason}; remove it, or run that configuration again") from error
    try:
        series: dict[str, Any] = json.loads(text.series) if text.series is not None else {}
        curves = [series.get("training_curve", []), series.get("recovery_curve", [])]
        if not all(isinstance(row["step"], int | float) for curve in curves for row in curve):
            raise ValueError("a step is no number")
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError) as error:
        reason = f"{SERIES_FILE} beside {text.place} is damaged: {error or type(error).__name__}"
        raise UserError(f"{reason}; remove it") from error
    return RecordWithCurves(record, *curves)


def distinct(found: list[RecordWithCurves]) -> list[RecordWithCurves]:
    """Return the first record of each measurement. Two records that differ in their config alone (a copy, or a
    configuration whose measurement was found in the store) count as one.
    """
    kept: defaultdict[str, list[RecordWithCurves]] = defaultdict(list)
    for one in found:
        twins = kept[one.record.truth.time]
        if not any(same_measurement(one.record, twin.record) for twin in twins):
            twins.append(one)
    return [one for twins in kept.values() for one in twins]


def same_measurement(one: Record, other: Record) -> bool:
    fields = [field for field in Record.model_fields if field != "config"]
    return all(getattr(one, field) == getattr(other, field) for field in fields)
