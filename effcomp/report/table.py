"""The comparison table: one row per configuration, as text, Markdown and CSV."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from effcomp.record import (
    Interval,
    LanguageQuality,
    LanguageVersus,
    NotMeasured,
    Quality,
    Record,
    VersusBaseline,
    settings,
)
from effcomp.statistics import holm

MIB = 2**20
BASELINE_NAME = "none (baseline)"


@dataclass(frozen=True)
class Row:
    """A record and what it is called beside the others."""

    name: str
    record: Record


@dataclass(frozen=True)
class Column:
    """One column: its heading (unit included), its cell as text, and the value it is sorted by."""

    heading: str
    text: Callable[[Row], str]
    value: Callable[[Row], float | str | None]
    digits: int = 2
    """Behind the point, where a mean of values is shown."""


def is_baseline(record: Record) -> bool:
    """Whether this is the float32 model that the others are compared with."""
    same_artifact = record.truth.artifact == record.truth.baseline_artifact
    return same_artifact and record.choices["runtime"] == "torch"


def name(record: Record) -> str:
    """The compression as a person says it: `int8_dynamic`, `nf4 + l1_unstructured 0.5`, `none (baseline)`."""
    choices = record.choices
    if is_baseline(record):
        return BASELINE_NAME
    words = choices["quant"]
    if choices["prune"] != "none":
        ratio = record.config["prune"].get("ratio")
        words += f" + {choices['prune']}" + (f" {ratio}" if ratio is not None else "")
    if choices["runtime"] != "torch":
        words += f" on {choices['runtime']}"
    return words


def rows(records: list[Record]) -> list[Row]:
    """Every record with its name; where two would have the same, what tells them apart is added:
    `nf4, device.threads=1`."""
    shared = Counter(name(record) for record in records)
    configs = [settings(record.config) for record in records]
    named = []
    for record, config in zip(records, configs, strict=True):
        words = name(record)
        if shared[words] > 1:
            twins = [other for other, twin in zip(configs, records, strict=True) if name(twin) == words]
            words = ", ".join([words, *distinctions(config, twins)])
        named.append(Row(words, record))
    return named


def distinctions(config: dict[str, Any], twins: list[dict[str, Any]]) -> list[str]:
    """The settings of a config that are not the same in all of its twins, as `key=value`."""
    told = [key for key in config if any(twin.get(key) != config[key] for twin in twins)]
    return [f"{key}={config[key]}" for key in told if key.partition(".")[0] not in told or "." not in key]


def subject(records: list[Record]) -> str:
    """What the records have in common: `minilm on rotten_tomatoes`."""

    def model(record: Record) -> str:
        path = record.config["model"].get("path")
        return Path(path).name if path else record.choices["model"]

    return ", ".join(dict.fromkeys(f"{model(record)} on {record.choices['task']}" for record in records))


def spread(interval: Interval, digits: int, scale: float = 1.0, sign: str = "") -> str:
    """`82.9 [81.0, 84.7]`."""
    value, low, high = (
        f"{number * scale:{sign}.{digits}f}" for number in (interval.value, interval.low, interval.high)
    )
    return f"{value} [{low}, {high}]"


Q = TypeVar("Q", Quality, LanguageQuality)
V = TypeVar("V", VersusBaseline, LanguageVersus)


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


def headline(record: Record) -> tuple[str, Interval] | None:
    """The one number of quality that figures show, with its label; None where quality was not measured."""
    quality = record.quality
    if isinstance(quality, Quality):
        return "accuracy, %", quality.accuracy.scaled(100)
    if isinstance(quality, LanguageQuality):
        return "perplexity (less is better)", quality.perplexity
    return None


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


def holm_column(records: list[Record]) -> Column:
    """McNemar's p of each configuration that is no baseline, corrected for their number."""
    tested = [record for record in records if isinstance(record.versus_baseline, VersusBaseline)]
    tested = [record for record in tested if not is_baseline(record)]
    raw = [record.versus_baseline.mcnemar_p for record in tested if isinstance(record.versus_baseline, VersusBaseline)]
    corrected = {id(record): p for record, p in zip(tested, holm(raw), strict=True)}

    def p_value(row: Row) -> float | None:
        return corrected.get(id(row.record))

    return Column("McNemar p, Holm", lambda row: "-" if (p := p_value(row)) is None else f"{p:.2g}", p_value, 3)


def optional_column(heading: str, value: Callable[[Record], float | None], digits: int) -> Column:
    """A number that only some machines, models or versions have: a dash where there is none."""
    return Column(
        heading,
        lambda row: "-" if (number := value(row.record)) is None else f"{number:.{digits}f}",
        lambda row: value(row.record),
        digits,
    )


def floor_percent(record: Record) -> float | None:
    floor = next(iter(record.speed.by_batch_size.values())).floor
    return 100 * floor.share if floor is not None else None


def energy_mj(record: Record) -> float | None:
    joules = record.cost.energy_per_sample_j
    return None if isinstance(joules, str) else joules * 1000


def decode_ms(record: Record) -> float | None:
    return record.speed.generation.decode_ms_per_token.value if record.speed.generation is not None else None


OPTIONAL_COLUMNS = [
    ("decode, ms a token", decode_ms, 2),
    ("of the floor, %", floor_percent, 0),
    ("energy, mJ a sample", energy_mj, 2),
]
"""Shown where any record has the number."""


def notes(row: Row) -> str:
    """What makes a row doubtful, in a word or two; a dash where nothing does."""
    truth, words = row.record.truth, []
    if truth.conditions is not None and truth.conditions.noise:
        words.append("noisy")
    if truth.promised_kernel_ran is False:
        words.append("its kernel never ran")
    return ", ".join(words) or "-"


def mebibytes(heading: str, count: Callable[[Record], int]) -> Column:
    return Column(heading, lambda row: f"{count(row.record) / MIB:.1f}", lambda row: count(row.record) / MIB)


def speedup_column(batch_size: int) -> Column:
    def speedup(row: Row) -> Interval:
        return row.record.speed.by_batch_size[batch_size].speedup

    return Column(
        f"speed-up, batch {batch_size}", lambda row: spread(speedup(row), 2) + " x", lambda row: speedup(row).value
    )


def columns(records: list[Record]) -> list[Column]:
    """The table's columns for these records: a speed-up for each batch size that all of them measured."""
    shared = set.intersection(*(set(record.speed.by_batch_size) for record in records))
    kinds = {type(record.quality) for record in records}
    return [
        Column("configuration", lambda row: row.name, lambda row: row.name),
        *(LANGUAGE_COLUMNS if LanguageQuality in kinds else []),
        *(CLASSIFICATION_COLUMNS if kinds != {LanguageQuality} else []),
        Column("verdict", verdict_word, verdict_word),
        *([holm_column(records)] if Quality in kinds else []),
        Column(
            "latency p50, ms",
            lambda row: f"{row.record.speed.latency_p50_ms.value:.2f}",
            lambda row: row.record.speed.latency_p50_ms.value,
        ),
        *(speedup_column(batch_size) for batch_size in sorted(shared)),
        mebibytes("artifact, MiB", lambda record: record.cost.artifact_bytes),
        mebibytes("peak memory, MiB", lambda record: record.cost.peak_rss_bytes),
        mebibytes("+load, MiB", lambda record: record.cost.load_added_rss_bytes),
        mebibytes("+calls, MiB", lambda record: record.cost.inference_added_rss_bytes),
        Column(
            "load, ms",
            lambda row: f"{row.record.cost.load_time_ms:.0f}",
            lambda row: row.record.cost.load_time_ms,
        ),
        *(
            optional_column(*column)
            for column in OPTIONAL_COLUMNS
            if any(column[1](record) is not None for record in records)
        ),
        *([Column("notes", notes, notes)] if any(notes(Row("", record)) != "-" for record in records) else []),
    ]


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
