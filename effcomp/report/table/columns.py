"""The columns of the comparison table: a heading with its unit, a cell as text, and the number behind it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from effcomp.core.interval import Interval
from effcomp.core.statistics import holm
from effcomp.record import (
    GenerationQuality,
    GenerationVersus,
    LanguageQuality,
    LanguageVersus,
    NotMeasured,
    Quality,
    Record,
    VersusBaseline,
)
from effcomp.record.baseline import is_baseline
from effcomp.report.choose.objectives import MIB, OBJECTIVES, energy_per_sample_j, exact, text_score
from effcomp.report.table.rows import Row, spread


@dataclass(frozen=True)
class Column:
    """One column: its heading (unit included), its cell as text, and the value it is sorted by."""

    heading: str
    text: Callable[[Row], str]
    value: Callable[[Row], float | str | None]
    digits: int = 2
    """Behind the point, where a mean of values is shown."""
    interval: Callable[[Row], Interval | None] | None = None
    """Of a column whose cells in a terminal leave it out for their width."""

    def full_text(self, row: Row) -> str:
        """The cell with its interval."""
        interval = self.interval(row) if self.interval is not None else None
        return (
            spread(interval, self.digits) if interval is not None and interval.high > interval.low else self.text(row)
        )


Q = TypeVar("Q", Quality, LanguageQuality, GenerationQuality)
V = TypeVar("V", VersusBaseline, LanguageVersus, GenerationVersus)


def quality_column(
    heading: str, kind: type[Q], text: Callable[[Q], str], value: Callable[[Q], float], digits: int = 2
) -> Column:
    """A column of one kind of quality; `not measured` or a dash where a record has none."""

    def cell(row: Row) -> str:
        quality = row.record.quality
        if isinstance(quality, kind):
            return text(quality)
        return quality.status if isinstance(quality, NotMeasured) else "-"

    return Column(
        heading, cell, lambda row: value(row.record.quality) if isinstance(row.record.quality, kind) else None, digits
    )


def versus_column(
    heading: str, kind: type[V], text: Callable[[V], str], value: Callable[[V], float], digits: int = 2
) -> Column:
    """A column of the comparison with the baseline; the baseline itself has a dash."""

    def measured(row: Row) -> V | None:
        versus = row.record.versus_baseline
        return versus if isinstance(versus, kind) and not is_baseline(row.record) else None

    return Column(
        heading,
        lambda row: text(versus) if (versus := measured(row)) else "-",
        lambda row: value(versus) if (versus := measured(row)) else None,
        digits,
    )


def verdict_word(row: Row) -> str:
    versus = row.record.versus_baseline
    return "-" if isinstance(versus, NotMeasured) or is_baseline(row.record) else versus.verdict


VERDICT = Column("verdict", verdict_word, verdict_word)
NO_QUALITY = Column("quality", lambda _: "not measured", lambda _: None)
CLASSIFICATION_COLUMNS = [
    quality_column("accuracy, %", Quality, lambda q: spread(q.accuracy, 1, 100), lambda q: q.accuracy.value * 100),
    versus_column(
        "difference, points",
        VersusBaseline,
        lambda v: spread(v.accuracy_difference, 1, 100, "+"),
        lambda v: v.accuracy_difference.value * 100,
    ),
]
LANGUAGE_COLUMNS = [
    quality_column(
        "perplexity, token", LanguageQuality, lambda q: spread(q.perplexity, 2), lambda q: q.perplexity.value
    ),
    quality_column(
        "bits, per byte",
        LanguageQuality,
        lambda q: spread(q.bits_per_byte, 3) if q.bits_per_byte else "-",
        lambda q: q.bits_per_byte.value if q.bits_per_byte else math.nan,
        digits=3,
    ),
    versus_column(
        "loss difference, nats",
        LanguageVersus,
        lambda v: spread(v.loss_difference, 4, 1, "+"),
        lambda v: v.loss_difference.value,
        digits=4,
    ),
]


def generation_columns(records: list[Record]) -> list[Column]:
    """The headline of the tasks that write (one column for each that there is), and how near the texts are to the
    baseline's."""
    qualities = [record.quality for record in records if isinstance(record.quality, GenerationQuality)]
    headlines = dict.fromkeys(quality.headline for quality in qualities)
    judged = any("perplexity_judge" in quality.scores for quality in qualities)
    return [
        *(column for name in headlines for column in headline_columns(name)),
        versus_column(
            "tokens as the baseline's, %",
            GenerationVersus,
            lambda v: spread(v.identical_tokens, 1, 100),
            lambda v: v.identical_tokens.value * 100,
        ),
        *([optional_column("perplexity, judge", OBJECTIVES["perplexity_judge"].value, 2)] if judged else []),
    ]


def headline_columns(name: str) -> list[Column]:
    """A score of texts, and its difference to the baseline's."""
    score = text_score(name)
    return [
        Column(
            f"{name}, %",
            lambda row: spread(found, 1, 100) if (found := score(row.record)) else "-",
            lambda row: found.value * 100 if (found := score(row.record)) else None,
        ),
        versus_column(
            f"{name} difference, points",
            GenerationVersus,
            lambda v: spread(v.differences[name], 1, 100, "+") if name in v.differences else "-",
            lambda v: v.differences[name].value * 100 if name in v.differences else math.nan,
        ),
    ]


def holm_column(records: list[Record]) -> Column:
    """McNemar's p of each configuration that is no baseline, corrected for their number."""
    tested = [record for record in records if isinstance(record.versus_baseline, VersusBaseline)]
    tested = [record for record in tested if not is_baseline(record)]
    raw = [record.versus_baseline.mcnemar_p for record in tested if isinstance(record.versus_baseline, VersusBaseline)]
    corrected = {id(record): p for record, p in zip(tested, holm(raw), strict=True)}

    def p_value(row: Row) -> float | None:
        return corrected.get(id(row.record))

    return Column("McNemar p, Holm", lambda row: "-" if (p := p_value(row)) is None else f"{p:.2g}", p_value, 3)


def optional_column(heading: str, value: Callable[[Record], Interval | None], digits: int) -> Column:
    """A number that only some machines, models or versions have: a dash where there is none."""
    return Column(
        heading,
        lambda row: "-" if (number := value(row.record)) is None else f"{number.value:.{digits}f}",
        lambda row: None if (number := value(row.record)) is None else number.value,
        digits,
        interval=lambda row: value(row.record),
    )


def floor_percent(record: Record) -> Interval | None:
    floor = next(iter(record.speed.by_batch_size.values())).floor
    return exact(100 * floor.share) if floor is not None else None


def energy_mj(record: Record) -> Interval | None:
    joules = energy_per_sample_j(record)
    return joules.scaled(1000) if joules is not None else None


def gpu_mib(record: Record) -> Interval | None:
    held = record.cost.memory.gpu_allocated_bytes
    return exact(held / MIB) if held is not None else None


def peak_power_w(record: Record) -> Interval | None:
    power = record.cost.energy.peak_power_w
    return exact(power) if power is not None else None


OPTIONAL_COLUMNS = [
    ("GPU memory, MiB", gpu_mib, 1),
    ("of the floor, %", floor_percent, 0),
    ("energy, mJ a sample", energy_mj, 2),
    ("peak power, W", peak_power_w, 0),
]
"""Shown where any record has the number."""


def notes(row: Row) -> str:
    """What makes a row doubtful, in a word or two; a dash where nothing does."""
    truth, words = row.record.truth, []
    if truth.conditions is not None and truth.conditions.noise:
        words.append("noisy")
    if truth.kernels.expected_ran is False:
        words.append("its kernel never ran")
    return ", ".join(words) or "-"


def mebibytes(heading: str, count: Callable[[Record], int]) -> Column:
    return Column(heading, lambda row: f"{count(row.record) / MIB:.1f}", lambda row: count(row.record) / MIB)


def group_columns(records: list[Record]) -> list[Column]:
    """The accuracy of each group that all records have (XNLI: each language), and their mean."""
    grouped = [set(r.quality.per_group) for r in records if isinstance(r.quality, Quality)]
    shared = set.intersection(*grouped) if grouped else set()
    return [
        quality_column(
            f"accuracy {name}, %",
            Quality,
            lambda q, name=name: spread(q.per_group[name].accuracy, 1, 100),  # type: ignore[misc]
            lambda q, name=name: q.per_group[name].accuracy.value * 100,  # type: ignore[misc]
        )
        for name in sorted(shared)
    ]


def decoding_columns(records: list[Record]) -> list[Column]:
    """Of decoders that were timed token by token: the prompt and the tokens behind it, each with its speed-up."""
    found = []
    for objective in (OBJECTIVES["prefill_ms"], OBJECTIVES["decode_ms_per_token"]):
        if objective.speedup is not None and any(objective.value(record) for record in records):
            found.append(optional_column(objective.label, objective.value, 2))
            found.append(speedup_column(f"speed-up, {objective.what}", objective.speedup))
    return found


def at_batch_size(size: int) -> Callable[[Record], Interval]:
    return lambda record: record.speed.by_batch_size[size].speedup


def speedup_column(heading: str, speedup: Callable[[Record], Interval | None]) -> Column:
    return Column(
        heading,
        lambda row: "-" if (times := speedup(row.record)) is None else spread(times, 2) + " x",
        lambda row: None if (times := speedup(row.record)) is None else times.value,
    )


def columns(records: list[Record]) -> list[Column]:
    """The table's columns for these records: a speed-up for each batch size that all of them measured."""
    shared = set.intersection(*(set(record.speed.by_batch_size) for record in records))
    kinds = {type(record.quality) for record in records}
    return [
        Column("configuration", lambda row: row.name, lambda row: row.name),
        *(LANGUAGE_COLUMNS if LanguageQuality in kinds else []),
        *(generation_columns(records) if GenerationQuality in kinds else []),
        *(CLASSIFICATION_COLUMNS if Quality in kinds else []),
        *group_columns(records),
        *([VERDICT] if kinds != {NotMeasured} else [NO_QUALITY]),
        *([holm_column(records)] if Quality in kinds else []),
        Column(
            "latency p50, ms",
            lambda row: f"{row.record.speed.latency_p50_ms.value:.2f}",
            lambda row: row.record.speed.latency_p50_ms.value,
            interval=lambda row: row.record.speed.latency_p50_ms,
        ),
        *(speedup_column(f"speed-up, batch {size}", at_batch_size(size)) for size in sorted(shared)),
        *decoding_columns(records),
        mebibytes("artifact, MiB", lambda record: record.cost.size.artifact_bytes),
        mebibytes("peak memory, MiB", lambda record: record.cost.memory.peak_rss_bytes),
        mebibytes("+load, MiB", lambda record: record.cost.memory.load_added_rss_bytes),
        mebibytes("+calls, MiB", lambda record: record.cost.memory.inference_added_rss_bytes),
        Column(
            "load, ms",
            lambda row: f"{row.record.cost.load.load_time_ms:.0f}",
            lambda row: row.record.cost.load.load_time_ms,
        ),
        *(
            optional_column(*column)
            for column in OPTIONAL_COLUMNS
            if any(column[1](record) is not None for record in records)
        ),
        *([Column("notes", notes, notes)] if any(notes(Row("", record)) != "-" for record in records) else []),
    ]
