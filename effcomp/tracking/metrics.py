"""MLflow metrics of a result: headline numbers, every number of the Record by section, and series."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from statistics import fmean
from typing import Any, NamedTuple

from effcomp.core.interval import Interval
from effcomp.record import Record
from effcomp.record.quantity import Quantity, fields
from effcomp.record.result import Result
from effcomp.record.trace import GpuSample, Sample
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
    """Yield the training curves by optimizer step, and the resource trace by second: the mean of each second's samples.

    Timestamps count from the start of the run, those of a curve from the start of its training, so that MLflow's axis
    of relative time is in seconds too.
    """
    for kind, curve in (("training", result.training_curve), ("recovery", result.recovery_curve)):
        for row, seconds in zip(curve, elapsed(curve), strict=True):
            for name in ("loss", "learning_rate", "eval_loss"):
                if name in row:
                    yield Point(f"{kind}/{name}", float(row[name]), int(row["step"]), at(result, seconds))
    gpu_index = result.record.config["device"].get("index", 0)
    for second, samples in groupby(result.trace, lambda sample: int(sample.seconds)):
        values = defaultdict[str, list[float]](list)
        for sample in samples:
            for name, value in trace_metrics(sample, gpu_index).items():
                values[name].append(value)
        for name, found in values.items():
            yield Point(name, fmean(found), second, at(result, second))


def at(result: Result, seconds: float) -> int:
    """Return the timestamp in milliseconds of a moment after the start of a run."""
    return result.started_ms + round(seconds * 1000)


def elapsed(curve: Sequence[Mapping[str, Any]]) -> Iterator[float]:
    """Yield the seconds of training at each row; a row has those of its own try, or of its own step of pruning."""
    before, total = 0.0, 0.0
    for row in curve:
        own = row.get("seconds", before)
        total += own - before if own >= before else own
        before = own
        yield total


def trace_metrics(sample: Sample, gpu_index: int) -> dict[str, float]:
    """Return the values of a sample of the resource trace, by the names of their metrics."""
    values = {"trace/rss_bytes": float(sample.rss_bytes), "trace/cpu_percent": sample.cpu_percent}
    return values if sample.gpu is None else values | gpu_metrics(sample.gpu, gpu_index)


def gpu_metrics(sample: GpuSample, index: int) -> dict[str, float]:
    """Return a sample of the GPU under the names of MLflow's own system metrics, where it has them."""
    return {
        f"system/gpu_{index}_utilization_percentage": sample.utilisation_percent,
        f"system/gpu_{index}_memory_usage_megabytes": sample.memory_bytes / 1e6,
        f"system/gpu_{index}_power_usage_watts": sample.power_w,
        "trace/gpu_temperature_c": sample.temperature_c,
        "trace/gpu_throttle_reasons": float(sample.throttle_reasons),
    }
