"""Report of a sweep as its parent run in MLflow shows it."""

from collections.abc import Sequence
from pathlib import Path

from effcomp.core.store import text_hash
from effcomp.record import RECORD_FILE, Record
from effcomp.report.sources import REPORT_FOLDER
from effcomp.sweep.folder import ANSWER_TEXT, in_order
from effcomp.tracking.base import Summary
from effcomp.tracking.metrics import HEADLINES, best, named

COLUMNS = ("accuracy", "perplexity", "accuracy difference", "verdict", "speed-up, batch 1", "artifact")
"""Beginnings of the headings that the description shows after the configuration."""


def summary_of(folder: Path) -> Summary | None:
    """Return the summary of a sweep's folder; None where it has no report."""
    results, files = folder / REPORT_FOLDER, in_order(folder, RECORD_FILE)
    if not results.is_dir() or not files:
        return None
    from effcomp.report.rows import subject
    from effcomp.report.table.comparison import compare, to_markdown

    comparison = compare([Record.read(file) for file in files])
    records = [row.record for row in comparison.rows]
    texts = comparison.texts()
    wanted = [heading for heading in texts.columns[1:] if heading.startswith(COLUMNS)]
    front = results / "quality_speed.svg"
    answer = results / ANSWER_TEXT
    found = f"```text\n{answer.read_text().strip()}\n```\n\n" if answer.exists() else ""
    headlines = compared_headlines(records)
    return Summary(
        results,
        f"{found}**{subject(records)}**\n\n{to_markdown(texts[[texts.columns[0], *wanted]])}",
        {text_hash(record.to_json()): numbers for record, numbers in zip(records, headlines, strict=True)},
        best(headlines),
        front if front.exists() else None,
    )


def compared_headlines(records: Sequence[Record]) -> list[dict[str, float]]:
    """Return the headline numbers of each record as the table shows them: speeds by one reference for all."""
    from effcomp.report.objectives import Objective, comparable

    columns = {field.quantity: comparable(Objective(field), records) for field in HEADLINES}
    return [named({quantity: column[row] for quantity, column in columns.items()}) for row in range(len(records))]
