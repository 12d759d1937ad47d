"""Means with intervals over runs that differ only by seed or fold."""

import json
from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd

from effcomp.core.statistics import repeated_interval
from effcomp.record import Record
from effcomp.report.rows import NamedRecord, rows, spread
from effcomp.report.table.columns import HOLM, Column, columns

REPEATS = ("seed", "fold")
MEANS = "means over seeds or folds, with their 95 % confidence intervals"


def repeats_table(records: list[Record]) -> pd.DataFrame | None:
    """Return every number of the comparison table as a mean over repeats; None when no configuration was repeated."""
    groups = [group for group in grouped(records) if len(group) > 1]
    if not groups:
        return None
    shown = columns([record for group in groups for record in group])
    numbers = [column for column in shown[1:] if column.heading != HOLM]  # a mean of p-values says nothing
    table = []
    for first, group in zip(rows([group[0] for group in groups]), groups, strict=True):
        cells = {shown[0].heading: without_repeats(first.name), "over": counted(group)}
        table.append(cells | {column.heading: cell for column in numbers if (cell := mean(column, group))})
    return pd.DataFrame(table).fillna("-")


def grouped(records: list[Record]) -> list[list[Record]]:
    """Group the records of one machine that differ only by seed and fold, in the order of the first of each group."""
    groups: defaultdict[tuple[Any, ...], dict[tuple[Any, ...], Record]] = defaultdict(dict)
    for record in records:
        kept = {key: value for key, value in record.config.items() if key not in REPEATS}
        machine, repeat = record.truth.machine, tuple(map(record.config.get, REPEATS))
        # A repeat that was measured twice counts once, as it was measured last.
        groups[json.dumps(kept, sort_keys=True), machine.device, machine.threads][repeat] = record
    return [list(group.values()) for group in groups.values()]


def counted(group: list[Record]) -> str:
    """Return the repetitions in words: `5 folds`, `3 seeds`, `3 seeds, 5 folds`."""
    numbers = {name: len({str(record.config.get(name)) for record in group}) for name in REPEATS}
    return ", ".join(f"{number} {name}s" for name, number in numbers.items() if number > 1) or f"{len(group)} runs"


def without_repeats(name: str) -> str:
    return ", ".join(part for part in name.split(", ") if part.partition("=")[0] not in REPEATS)


def mean(column: Column, group: list[Record]) -> str | None:
    """Return the column's mean over the group with its interval; None where it has no numbers."""
    values = [column.value(NamedRecord("", record)) for record in group]
    numbers = [value for value in values if isinstance(value, int | float)]
    if len(numbers) < len(group):
        return None
    folds = len({record.config.get("fold") for record in group}) > 1
    truth = group[0].truth
    shared = truth.data.test_examples / truth.data.train_examples if folds and truth.data.train_examples else 0.0
    interval = repeated_interval(np.array(numbers), shared)
    return spread(interval, column.digits)
