"""Chances of candidates, from one look at each: to keep the limits when they are confirmed, and to be the best."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from effcomp.core.interval import Interval
from effcomp.record import Record
from effcomp.report.choose.goal import Bound, Goal, Loss
from effcomp.report.choose.multiplicity import quantile
from effcomp.report.objectives import OBJECTIVES

NORMAL = NormalDist()
SURE = 0.95
"""Chance that another candidate is confirmed, from which on a slower one is not looked at or measured again."""


@dataclass(frozen=True)
class Prospect:
    """A candidate after a look at it."""

    value: Interval
    """Value of the objective, comparable between candidates."""
    chance: float
    """Probability that it keeps every limit when it is confirmed."""


def chance(record: Record, goal: Goal, tests: int, ratio: float) -> float:
    """Return the probability that a confirmation keeps every limit, taken as independent.

    Args:
        tests: number of finalists that the confirmation is corrected for.
        ratio: examples of this look over those of the confirmation.
    """
    losses = (loss_chance(limit, record, tests, ratio) for limit in goal.losses)
    bounds = (bound_chance(limit, record, tests) for limit in goal.bounds)
    return math.prod([*losses, *bounds])


def loss_chance(limit: Loss, record: Record, tests: int, ratio: float) -> float:
    known = limit.evidence(record)
    return 0.0 if known is None else confirmed(known.loss, known.limit, tests, ratio)


def bound_chance(limit: Bound, record: Record, tests: int) -> float:
    value = OBJECTIVES[limit.objective].value(record)
    if value is None:
        return 0.0
    sign = 1 if limit.side == "max" else -1
    return confirmed(value.scaled(sign), sign * limit.limit, tests, 1.0)


def confirmed(seen: Interval, limit: float, tests: int, ratio: float) -> float:
    """Return the probability that the whole interval of a second, independent sample lies below a limit.

    The true value is normal around the middle of what was seen; so is the middle of the second interval around the
    true value. The width of an interval falls with the square root of the number of examples.

    Args:
        seen: 95 % interval of the first sample.
        tests: number of finalists that the second interval is corrected for.
        ratio: size of the first sample over that of the second.
    """
    first = (seen.high - seen.low) / 2 / quantile(0.05, seen.degrees)
    second = first * math.sqrt(ratio)
    room = limit - (seen.high + seen.low) / 2 - quantile(0.05 / tests, seen.degrees) * second
    spread = math.hypot(first, second)
    return float(room >= 0) if spread == 0 else NORMAL.cdf(room / spread)


def cannot_win(best_value: float, goal: Goal, others: Sequence[Prospect]) -> bool:
    """Return True if a better candidate is almost certainly confirmed.

    Args:
        best_value: the objective at the good end of what the candidate can reach.
    """
    better = OBJECTIVES[goal.objective].better
    ahead = [one for one in others if better(bad_end(one.value, goal), best_value)]
    return 1 - math.prod(1 - one.chance for one in ahead) >= SURE


def good_end(value: Interval, goal: Goal) -> float:
    return value.low if OBJECTIVES[goal.objective].direction == "minimize" else value.high


def bad_end(value: Interval, goal: Goal) -> float:
    return value.high if OBJECTIVES[goal.objective].direction == "minimize" else value.low


def most_promising(prospects: Sequence[Prospect], goal: Goal, count: int) -> list[int]:
    """Return the indices of the candidates that together promise the best confirmed value, the most useful first.

    Each step adds the candidate that raises the expected gain of the set most, where the gain is that of the best one
    confirmed. To have an answer at all counts as much as the whole range between the worst value and the best.
    """
    if not prospects:
        return []
    sign = -1 if OBJECTIVES[goal.objective].direction == "minimize" else 1
    values = [sign * one.value.value for one in prospects]
    spread = max(values) - min(values) or 1.0
    gains = [1 + (value - min(values)) / spread for value in values]
    chosen: list[int] = []
    while len(chosen) < min(count, len(prospects)):
        rest = [index for index in range(len(prospects)) if index not in chosen]
        chosen.append(max(rest, key=lambda index: expected_gain([*chosen, index], gains, prospects)))
    return chosen


def expected_gain(chosen: list[int], gains: list[float], prospects: Sequence[Prospect]) -> float:
    """Return the expected gain of the best confirmed candidate of a set; 0 where none is."""
    total, none_before = 0.0, 1.0
    for index in sorted(chosen, key=lambda index: -gains[index]):
        total += none_before * prospects[index].chance * gains[index]
        none_before *= 1 - prospects[index].chance
    return total
