"""Columns of the comparison table: a heading with its unit, a cell as text, and its number."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from effcomp.core.interval import Interval
from effcomp.core.statistics import holm
from effcomp.record import GenerationQuality, GenerationVersus, NotMeasured, Quality, Record, VersusBaseline
from effcomp.record.generation import TEXT_SCORES
from effcomp.record.quantity import KEY, Field, Quantity, fields
from effcomp.report.objectives import Objective, comparable
from effcomp.report.rows import NamedRecord, spread, supported

REFERENCE = (
    "The baseline's median beside all rows, over the speed-up; record.json and the table for programs have what was "
    "measured."
)


@dataclass(frozen=True)
class Column:
    """A column: its heading with the unit, its cell as text, and the value that it is sorted by."""

    heading: str
    text: Callable[[NamedRecord], str]
    value: Callable[[NamedRecord], float | str | None]
    digits: int = 2
    """Digits after the point of a mean of values."""
    interval: Callable[[NamedRecord], Interval | None] | None = None
    """Interval of a cell that a terminal shows without it."""
    better: Literal["lower", "higher"] | None = None
    """Direction of improvement: the page sorts the best first."""
    meaning: str = ""
    """Explanation in a sentence."""

    def full_text(self, row: NamedRecord) -> str:
        """Return the cell with its interval."""
        interval = self.interval(row) if self.interval is not None else None
        return (
            spread(interval, self.digits) if interval is not None and interval.high > interval.low else self.text(row)
        )


def columns(records: Sequence[Record]) -> list[Column]:
    """Return the table's columns: those that a field declares and any of the records has, and what is derived."""
    shown = [field for field in shared(fields(type(records[0])), records) if measured(field, records)]
    quality = [quantity_column(field) for field in shown if field.section == "quality"]
    versus = [quantity_column(field) for field in shown if field.section == "versus_baseline"]
    others = [compared_column(field, records) for field in shown if field.section not in ("quality", "versus_baseline")]
    unjudged = all(isinstance(record.quality, NotMeasured) for record in records)
    doubtful = any(notes(NamedRecord("", record)) != "-" for record in records)
    return [
        Column(
            "configuration",
            lambda row: row.name,
            lambda row: row.name,
            meaning="Number format, pruning and runtime; settings where these do not tell two apart.",
        ),
        *quality,
        *headline_columns(records),
        *versus,
        NO_QUALITY if unjudged else VERDICT,
        *([holm_column(records)] if any(isinstance(record.quality, Quality) for record in records) else []),
        *others,
        *([Column("notes", notes, notes, meaning="Reasons to read the row with care.")] if doubtful else []),
    ]


def shared(declared: Iterator[Field], records: Sequence[Record]) -> Iterator[Field]:
    """Yield the fields with a column; of one that is measured for several keys one for each key that all share."""
    for field in declared:
        if not field.quantity.column:
            continue
        if KEY not in field.quantity.label:
            yield field
            continue
        found = [keys for record in records if (keys := field.keys(record)) is not None]
        for key in sorted(set.intersection(*found)) if found else []:
            yield replace(field, key=key)


def measured(field: Field, records: Sequence[Record]) -> bool:
    return any(field.of(record) is not None for record in records)


def compared_column(field: Field, records: Sequence[Record]) -> Column:
    """Return the column of a field: of a time or a rate that has a speed-up, the value that `comparable` gives it, so
    that the two columns and the plot have one reference.
    """
    objective = Objective(field)
    if objective.speedup is None:
        return quantity_column(field)
    values = dict(zip(map(id, records), comparable(objective, records), strict=True))
    column = quantity_column(field, lambda record: values[id(record)])
    return replace(column, meaning=f"{column.meaning} {REFERENCE}")


def quantity_column(field: Field, value: Callable[[Record], Interval | None] | None = None) -> Column:
    """Return the column of a field: a dash, or that quality was not measured, where a record does not have it.

    Args:
        value: reader of the number; None for the field's own.
    """
    read = value or field.of
    quantity, suffix = field.quantity, " x" if field.quantity.unit == "x" else ""

    def shown(row: NamedRecord) -> Interval | None:
        if field.section == "versus_baseline" and row.record.is_baseline:
            return None
        found = read(row.record)
        return None if found is None else found.scaled(quantity.scale)

    def text(row: NamedRecord) -> str:
        found = shown(row)
        if found is None:
            status = row.record.quality.status
            return status if field.section == "quality" and status == "not measured" else "-"
        if quantity.brief or found.high == found.low:
            digits = supported(found, quantity.digits)
            return f"{found.value:{'+' if quantity.signed else ''}.{digits}f}{suffix}"
        return spread(found, quantity.digits, sign="+" if quantity.signed else "") + suffix

    return Column(
        field.heading,
        text,
        lambda row: None if (found := shown(row)) is None else found.value,
        max(2, quantity.digits),
        shown if quantity.brief else None,
        quantity.better,
        field.meaning,
    )


def headline_columns(records: Sequence[Record]) -> list[Column]:
    """Return, for each headline score of the tasks that write, the score and its difference to the baseline's."""
    headlines = [record.quality.headline for record in records if isinstance(record.quality, GenerationQuality)]
    found = []
    for name in dict.fromkeys(headlines):
        score = TEXT_SCORES.get(name, Quantity(name, "%", scale=100, digits=1, better="higher"))
        unit = "points" if score.unit == "%" else score.unit
        difference = replace(score, label=f"{score.label} difference", unit=unit, signed=True)
        quality, versus = (Record, "quality"), (Record, "versus_baseline")
        found += [
            quantity_column(Field(score, (quality, (GenerationQuality, "scores")), name)),
            quantity_column(Field(difference, (versus, (GenerationVersus, "differences")), name)),
        ]
    return found


def verdict_word(row: NamedRecord) -> str:
    versus = row.record.versus_baseline
    return "-" if isinstance(versus, NotMeasured) or row.record.is_baseline else versus.verdict


VERDICT = Column(
    "verdict",
    verdict_word,
    verdict_word,
    meaning="Non-inferiority to the baseline at bench.noninferiority_margin: the whole interval of the difference lies "
    "on one side of the margin, or the test has too few examples to say.",
)
HOLM = "McNemar p, Holm"
NO_QUALITY = Column("quality", lambda _: "not measured", lambda _: None)


def holm_column(records: Sequence[Record]) -> Column:
    """Return McNemar's p of each configuration that is not a baseline, corrected for their number (Holm)."""
    tested = [record for record in records if isinstance(record.versus_baseline, VersusBaseline)]
    tested = [record for record in tested if not record.is_baseline]
    raw = [record.versus_baseline.mcnemar_p for record in tested if isinstance(record.versus_baseline, VersusBaseline)]
    corrected = {id(record): p for record, p in zip(tested, holm(raw), strict=True)}

    def p_value(row: NamedRecord) -> float | None:
        return corrected.get(id(row.record))

    return Column(
        HOLM,
        lambda row: "-" if (p := p_value(row)) is None else f"{p:.2g}",
        p_value,
        3,
        meaning="Probability of so uneven a change of answers if baseline and configuration were equally good (McNemar "
        "1947), corrected for the number of configurations (Holm 1979).",
    )


def notes(row: NamedRecord) -> str:
    """Return why a row is doubtful, in a word or two; a dash where nothing is."""
    truth, words = row.record.truth, []
    if truth.conditions is not None and truth.conditions.noise:
        words.append("noisy")
    if truth.kernels.expected_ran is False:
        words.append("its kernel never ran")
    return ", ".join(words) or "-"
