"""Comparison table: one row per configuration, as text, Markdown and CSV."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from effcomp.record import Record, model_called
from effcomp.report.choose.fronts import Tradeoff, quality_tradeoffs, readable
from effcomp.report.rows import NamedRecord, rows
from effcomp.report.table.columns import Column, columns


@dataclass(frozen=True)
class Comparison:
    """Rows and columns of the table."""

    rows: list[NamedRecord]
    columns: list[Column]

    @cached_property
    def quality(self) -> dict[str, list[Tradeoff]]:
        return quality_tradeoffs(self.rows)

    @cached_property
    def shown(self) -> list[NamedRecord]:
        """Rows that are drawn and printed: all, or of very many those near the Pareto fronts."""
        return readable(self.rows, self.quality)

    @cached_property
    def matrices(self) -> list[NamedRecord]:
        """Rows whose confusion matrices are drawn: all, or of very many those on the Pareto fronts."""
        if len(self.shown) == len(self.rows):
            return self.rows
        fronts = [one for alike in self.quality.values() for one in alike]
        names = {one.rows[index].name for one in fronts for index in one.front}
        return [row for row in self.rows if row.name in names]

    def texts(self, every_interval: bool = False) -> pd.DataFrame:
        """Return the table for people; every cell is text.

        Args:
            every_interval: show those too that a terminal has no room for.
        """
        cell = Column.full_text if every_interval else (lambda column, row: column.text(row))
        return pd.DataFrame({column.heading: [cell(column, row) for row in self.rows] for column in self.columns})

    def values(self) -> pd.DataFrame:
        """Return the table for programs: what each row is, plain numbers, then every metric with its bounds."""
        frame = pd.DataFrame({column.heading: [column.value(row) for row in self.rows] for column in self.columns})
        own = pd.DataFrame([identity(row.record) for row in self.rows])
        return pd.concat([own, frame, pd.DataFrame([row.record.metrics() for row in self.rows])], axis=1)


def identity(record: Record) -> dict[str, str | int]:
    """Return what a record is of: the first columns of the table for programs."""
    choices, truth = record.choices, record.truth
    return {
        "model": model_called(record.config),
        **{group: choices[group] for group in ("task", "quant", "runtime", "prune")},
        "seed": truth.seed,
        "device": truth.machine.device,
        "artifact": truth.artifact,
    }


def compare(records: list[Record]) -> Comparison:
    return Comparison(rows(records), columns(records))


def to_markdown(frame: pd.DataFrame) -> str:
    lines = [list(frame.columns), ["---", *["---:"] * (len(frame.columns) - 1)], *frame.values.tolist()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
