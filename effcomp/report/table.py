"""The comparison table: one row per configuration, as text, Markdown and CSV."""

import pandas as pd

from effcomp.record import Record
from effcomp.report.columns import columns
from effcomp.report.rows import rows


def texts(records: list[Record]) -> pd.DataFrame:
    """The table as people read it, every cell text."""
    shown, named = columns(records), rows(records)
    return pd.DataFrame({column.heading: [column.text(row) for row in named] for column in shown})


def values(records: list[Record]) -> pd.DataFrame:
    """The table as a program reads it: plain numbers, and behind them every metric with its bounds."""
    shown, named = columns(records), rows(records)
    frame = pd.DataFrame({column.heading: [column.value(row) for row in named] for column in shown})
    return pd.concat([frame, pd.DataFrame([record.metrics() for record in records])], axis=1)


def to_markdown(frame: pd.DataFrame) -> str:
    lines = [list(frame.columns), ["---", *["---:"] * (len(frame.columns) - 1)], *frame.values.tolist()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
