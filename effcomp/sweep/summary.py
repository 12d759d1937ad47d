"""Report of a sweep as its parent run in MLflow shows it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from effcomp.core.store import text_hash
from effcomp.record import RECORD_FILE, Record
from effcomp.report.sources import REPORT_FOLDER
from effcomp.sweep.folder import ANSWER_TEXT, NOT_LOGGED, OUTCOME_FILE, OVERRIDES_FILE, in_order
from effcomp.sweep.progress import varied
from effcomp.tracking.base import Summary
from effcomp.tracking.metrics import HEADLINES, best, named

COLUMNS = ("accuracy", "perplexity", "accuracy difference", "verdict", "speed-up, batch 1", "artifact")
"""Beginnings of the headings that the description shows after the configuration."""


def summary_of(folder: Path) -> Summary | None:
    """Return the summary of a sweep's folder; without a report the reasons alone, None where there are none either."""
    results, files = folder / REPORT_FOLDER, in_order(folder, RECORD_FILE)
    missing = "\n".join(f"- left out: {line}" for line in left_out_of(folder, outcomes_of(folder)))
    if not files:
        return Summary(None, f"No configuration came through.\n\n{missing}", {}, {}, None) if missing else None
    if not results.is_dir():
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
        f"{found}**{subject(records)}**\n\n{to_markdown(texts[[texts.columns[0], *wanted]])}\n\n{missing}".strip(),
        {text_hash(record.to_json()): numbers for record, numbers in zip(records, headlines, strict=True)},
        best(headlines),
        front if front.exists() else None,
    )


def compared_headlines(records: Sequence[Record]) -> list[dict[str, float]]:
    """Return the headline numbers of each record as the table shows them: speeds by one reference for all."""
    from effcomp.report.objectives import Objective, comparable

    columns = {field.quantity: comparable(Objective(field), records) for field in HEADLINES}
    return [named({quantity: column[row] for quantity, column in columns.items()}) for row in range(len(records))]


def left_out_of(folder: Path, outcomes: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each configuration of a sweep without a record: what varied, and why.

    Args:
        outcomes: `outcomes_of` the folder.
    """
    missing = [outcome for outcome in outcomes if outcome["status"] != NOT_LOGGED]
    return [f"{varied(folder, one['overrides'])}: {one['status']}: {one['reason']}" for one in missing]


def outcomes_of(folder: Path) -> list[dict[str, Any]]:
    """Return the outcomes of a sweep's configurations that are not done; those that left neither a record nor a reason
    last: their launcher's process was killed."""
    ended = {file.parent for name in (RECORD_FILE, OUTCOME_FILE) for file in in_order(folder, name)}
    begun = in_order(folder, OVERRIDES_FILE)
    silent = [list(OmegaConf.load(file)) for file in begun if file.parents[1] not in ended]
    cut_off = [{"overrides": typed, "status": "failed", "reason": "it was cut off"} for typed in silent]
    return [*(json.loads(file.read_text()) for file in in_order(folder, OUTCOME_FILE)), *cut_off]
