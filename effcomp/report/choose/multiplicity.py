"""Correction of intervals for the number of configurations that are compared, and for noise."""

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from effcomp.core.interval import Interval
from effcomp.core.pairs import AND_A_REPEAT
from effcomp.record import Record, Row
from effcomp.record.comparable import is_noisy
from effcomp.record.upgrade import HOLDS_A_REPEAT_SINCE

GEOMETRIC = ("speed", "cost")
"""Sections of the Record whose intervals are stretched on a logarithmic scale."""
NOISY = 2.0
"""Factor for their intervals in a noisy record: others disturb its pairs alike, which the deviation between pairs does
not show. Those that hold the deviation between noisy measurements need none."""
REPEAT = math.sqrt(AND_A_REPEAT)
"""Factor for their intervals in a record whose version left out the error of a repeat."""


def widened(record: Record, tests: int) -> Record:
    """Return a record whose 95 % intervals are those of level 1 - 0.05 / tests.

    By Bonferroni's inequality (Dunn 1961, "Multiple Comparisons Among Means") all intervals of one kind hold together
    in 95 % of comparisons, so the choice of the best one does not make them optimistic. Several limits on one
    configuration need no correction: all of them have to hold (intersection-union test, Berger 1982). Speed and cost
    have wider intervals as well in a noisy record, by NOISY, and in one of a version whose intervals left out the error
    of a repeat.
    """
    wider = NOISY if is_noisy(record) else 1.0
    if is_without_repeat(record):
        wider *= REPEAT
    sections = {}
    for name in Record.model_fields:
        geometric = name in GEOMETRIC
        change = partial(stretch, tests=tests, geometric=geometric, noise=wider if geometric else 1.0)
        sections[name] = changed(getattr(record, name), change)
    return record.model_copy(update=sections)


def is_without_repeat(record: Record) -> bool:
    """Tell whether the intervals of speed and cost left out the error of a repeat, as earlier versions did."""
    return record.schema_version < HOLDS_A_REPEAT_SINCE


def changed(value: Any, change: Callable[[Interval], Interval]) -> Any:
    """Return a row, or a part of one, with every interval in it changed."""
    match value:
        case Interval():
            return change(value)
        case Row():
            return value.model_copy(update={name: changed(inner, change) for name, inner in value})
        case dict():
            return {name: changed(inner, change) for name, inner in value.items()}
        case _:
            return value


def stretch(interval: Interval, tests: int, geometric: bool, noise: float = 1.0) -> Interval:
    """Stretch both sides of an interval from its value: by the ratio of the two levels' quantiles, of the t
    distribution where the interval has degrees of freedom, else of the normal one.

    Args:
        geometric: stretch the logarithms of positive bounds.
        noise: further factor, for an interval that holds no deviation between measurements.
    """
    further = noise if interval.between_measurements is None else 1.0
    factor = further * quantile(0.05 / tests, interval.degrees) / quantile(0.05, interval.degrees)
    value, low, high = interval.value, interval.low, interval.high
    if geometric and low > 0:
        bounds = value * (low / value) ** factor, value * (high / value) ** factor
    else:
        bounds = value + (low - value) * factor, value + (high - value) * factor
    return interval.model_copy(update={"low": bounds[0], "high": bounds[1]})


@cache
def quantile(level: float, degrees: int | None) -> float:
    """Return the two-sided quantile: 1.96 for a level of 0.05 and no degrees of freedom."""
    from scipy.stats import norm, t

    return float(norm.isf(level / 2) if degrees is None else t.isf(level / 2, degrees))
