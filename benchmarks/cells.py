"""Rows of a table, and means of intervals, for the pages that are not made of a comparison."""

from collections.abc import Sequence
from statistics import mean


def line(words: Sequence[str]) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(words)} |"


def averaged(intervals: Sequence[Sequence[float]]) -> list[float]:
    """Return the means of the values and of the ends of intervals."""
    return [mean(ends) for ends in zip(*intervals, strict=True)]
