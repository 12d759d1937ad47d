"""MLflow metrics of a result: headline numbers, every number of the Record by section, and series."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from effcomp.core.interval import Interval
from effcomp.record import Record
from effcomp.record.quantity import Quantity, fields
from effcomp.record.result import Result
from effcomp.record.trace import GpuSample
from effcomp.tracking.names import metric_name

SECTIONS = {"versus_baseline": "quality/versus_baseline."}
"""Sections of the Record that stand under another one's charts."""
HEADLINES = [field for field in fields(Record) if field.quantity.headline]
"""Numbers of the Record with a short name of their own."""


class Point(NamedTuple):
    """A value of a series."""

    name: str
    value: float
    step: int
    timestamp_ms: int


def metrics(record: Record) -> dict[str, float]:
    """Return the headline numbers under short names, then every number as `section/path.of.the.field`.

    MLflow folds charts by the part of a name before the slash. Headline numbers are in the unit that their quantity is
    displayed in, except shares, which stay between 0 and 1.
    """
    return headlines(record) | {grouped(path): value for path, value in record.metrics().items()}


def headlines(record: Record) -> dict[str, float]:
    """Return the headline numbers as this record has them: those of a run that is compared with no other."""
    return named({field.quantity: field.of(record) for field in HEADLINES})


def named(numbers: Mapping[Quantity, Interval | None]) -> dict[str, float]:
    """Return the headline numbers that there are, under their short names and in the units of these."""
    return {
        quantity.headline: number.value * quantity.logged_scale
        for quantity, number in numbers.items()
        if number is not None
    }


def best(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the best value of each headline number that has a direction of improvement.

    Args:
        found: the headline numbers of each configuration.
    """
    choose = {"lower": min, "higher": max}
    best = {}
    for quantity in (field.quantity for field in HEADLINES):
        values = [numbers[quantity.headline] for numbers in found if quantity.headline in numbers]
        if values and quantity.better is not None:
            best[quantity.headline] = choose[quantity.better](values)
    return best


def grouped(path: str) -> str:
    """Return `cost/size.artifact_bytes` for `cost.size.artifact_bytes`, in characters that MLflow takes."""
    section, _, rest = metric_name(path).partition(".")
    return SECTIONS.get(section, f"{section}/") + rest


def series(result: Result) -> Iterator[Point]:
    """Yield the training curves by optimizer step, and the resource trace by second.

    Several samples of a second share a step; their timestamps differ, and count from the start of the run.
    """
    for kind, curve in (("training", result.training_curve), ("recovery", result.recovery_curve)):
        for row in curve:
            for name in ("loss", "learning_rate", "eval_loss"):
                if name in row:
                    yield Point(f"{kind}/{name}", float(row[name]), int(row["step"]), result.ended_ms)
    gpu_index = result.record.config["device"].get("index", 0)
    for sample in result.trace:
        values = {"trace/rss_bytes": float(sample.rss_bytes), "trace/cpu_percent": sample.cpu_percent}
        if sample.gpu is not None:
            values |= gpu_metrics(sample.gpu, gpu_index)
        for name, value in values.items():
            timestamp_ms = result.started_ms + round(sample.seconds * 1000)
            yield Point(name, value, round(sample.seconds), timestamp_ms)


def gpu_metrics(sample: GpuSample, index: int) -> dict[str, float]:
    """Return a sample of the GPU under the names of MLflow's own system metrics, where it has them."""
    return {
        f"system/gpu_{index}_utilization_percentage": sample.utilisation_percent,
        f"system/gpu_{index}_memory_usage_megabytes": sample.memory_bytes / 1e6,
        f"system/gpu_{index}_power_usage_watts": sample.power_w,
        "trace/gpu_temperature_c": sample.temperature_c,
        "trace/gpu_throttle_reasons": float(sample.throttle_reasons),
    }
