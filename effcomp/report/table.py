"""The comparison table: one row per configuration, as text, Markdown and CSV."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from effcomp.record import Interval, Quality, Record, VersusBaseline

MIB = 2**20


@dataclass(frozen=True)
class Column:
    """One column: its heading (unit included), its cell as text, and the number it is sorted by."""

    heading: str
    text: Callable[[Record], str]
    number: Callable[[Record], float | str | None]


def name(record: Record) -> str:
    """The configuration as a person says it: `int8_dynamic`, `nf4 + l1_unstructured 0.5`, `none (baseline)`."""
    choices = record.choices
    if is_baseline(record):
        return "none (baseline)"
    words = choices["quant"]
    if choices["prune"] != "none":
        ratio = record.config["prune"].get("ratio")
        words += f" + {choices['prune']}" + (f" {ratio}" if ratio is not None else "")
    if choices["runtime"] != "torch":
        words += f" on {choices['runtime']}"
    return words


def is_baseline(record: Record) -> bool:
    """Whether this is the float32 model that the others are compared with."""
    return all(record.choices[group] == "none" for group in ("quant", "prune")) and record.choices["runtime"] == "torch"


def subject(record: Record) -> str:
    """What the records of one table have in common: `minilm on rotten_tomatoes`."""
    return f"{record.choices['model']} on {record.choices['task']}"


def spread(interval: Interval, digits: int, scale: float = 1.0, sign: str = "") -> str:
    """`82.9 [81.0, 84.7]`."""
    value, low, high = (
        f"{number * scale:{sign}.{digits}f}" for number in (interval.value, interval.low, interval.high)
    )
    return f"{value} [{low}, {high}]"


def quality_cell(record: Record) -> str:
    return spread(record.quality.accuracy, 1, 100) if isinstance(record.quality, Quality) else "not measured"


def difference_cell(record: Record) -> str:
    versus = record.versus_baseline
    return spread(versus.accuracy_difference, 1, 100, "+") if isinstance(versus, VersusBaseline) else "not measured"


def of_quality(value: Callable[[Quality], float]) -> Callable[[Record], float | None]:
    return lambda record: value(record.quality) if isinstance(record.quality, Quality) else None


def of_versus(value: Callable[[VersusBaseline], float | str]) -> Callable[[Record], float | str | None]:
    return lambda record: value(record.versus_baseline) if isinstance(record.versus_baseline, VersusBaseline) else None


def megabytes(value: Callable[[Record], int]) -> tuple[Callable[[Record], str], Callable[[Record], float]]:
    return lambda record: f"{value(record) / MIB:.1f}", lambda record: value(record) / MIB


def columns(records: list[Record]) -> list[Column]:
    """The table's columns for these records: a speed-up for each batch size that all of them measured."""
    shared = set.intersection(*(set(record.speed.by_batch_size) for record in records))

    def speedup(batch_size: int) -> Column:
        return Column(
            f"speed-up, batch {batch_size}",
            lambda record: spread(record.speed.by_batch_size[batch_size].speedup, 2) + " x",
            lambda record: record.speed.by_batch_size[batch_size].speedup.value,
        )

    return [
        Column("configuration", name, name),
        Column("accuracy, %", quality_cell, of_quality(lambda quality: quality.accuracy.value * 100)),
        Column(
            "difference, points",
            difference_cell,
            of_versus(lambda versus: versus.accuracy_difference.value * 100),
        ),
        Column(
            "verdict",
            lambda record: getattr(record.versus_baseline, "verdict", "-"),
            of_versus(lambda versus: versus.verdict),
        ),
        Column(
            "latency p50, ms",
            lambda record: f"{record.speed.latency_p50_ms.value:.2f}",
            lambda record: record.speed.latency_p50_ms.value,
        ),
        *(speedup(batch_size) for batch_size in sorted(shared)),
        Column("artifact, MiB", *megabytes(lambda record: record.cost.artifact_bytes)),
        Column("peak memory, MiB", *megabytes(lambda record: record.cost.peak_rss_bytes)),
        Column("+load, MiB", *megabytes(lambda record: record.cost.load_added_rss_bytes)),
        Column("+calls, MiB", *megabytes(lambda record: record.cost.inference_added_rss_bytes)),
        Column(
            "load, ms",
            lambda record: f"{record.cost.load_time_ms:.0f}",
            lambda record: record.cost.load_time_ms,
        ),
    ]


def verdict(record: Record) -> str:
    """One configuration against the baseline, in a sentence with every interval."""
    speedup, versus = record.speed.speedup, record.versus_baseline
    if speedup.low > 1:
        pace = f"{spread(speedup, 2)} times the baseline's speed"
    elif speedup.high < 1:
        pace = f"slower than the baseline ({spread(speedup, 2)} times its speed)"
    else:
        pace = f"neither faster nor slower for certain ({spread(speedup, 2)} times the baseline's speed)"
    share = 1 - record.cost.artifact_bytes / record.cost.baseline_artifact_bytes
    size = f"{share:.0%} smaller" if share >= 0.005 else "larger" if share <= -0.005 else "the same size"
    if not isinstance(versus, VersusBaseline):
        return f"{name(record)}: {pace}, {size}, quality {versus.status}"
    difference = spread(versus.accuracy_difference, 1, 100, "+")
    margin = f"{versus.margin * 100:g}"
    words = {
        "not worse": f"not worse by more than {margin} points",
        "worse": f"worse by more than {margin} points",
        "undecided": f"too few examples to say whether it is worse by more than {margin} points",
    }[versus.verdict]
    return f"{name(record)}: {pace}, {size}, accuracy {difference} points: {words}"


def texts(records: list[Record]) -> pd.DataFrame:
    """The table as people read it, every cell text."""
    return pd.DataFrame({column.heading: [column.text(record) for record in records] for column in columns(records)})


def values(records: list[Record]) -> pd.DataFrame:
    """The table as a program reads it: plain numbers, and the bounds of the intervals."""
    frame = pd.DataFrame({column.heading: [column.number(record) for record in records] for column in columns(records)})
    metrics = pd.DataFrame([record.metrics() for record in records])
    return pd.concat([frame, metrics], axis=1)


def markdown(records: list[Record]) -> str:
    frame = texts(records)
    lines = [list(frame.columns), ["---", *["---:"] * (len(frame.columns) - 1)], *frame.values.tolist()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
