"""Chances of candidates, from one look at each: to keep the limits when they are confirmed, and to be the best."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from effcomp.core.interval import Interval
from effcomp.core.pairs import PRIOR
from effcomp.record import Record
from effcomp.report.choose.goal import Goal
from effcomp.report.choose.limits import Bound, Loss
from effcomp.report.choose.multiplicity import GEOMETRIC, quantile
from effcomp.report.objectives import OBJECTIVES

NORMAL = NormalDist()
SURE = 0.95
"""Chance that another candidate is confirmed, from which on a slower one is not looked at or measured again."""
EXACT = ("artifact_bytes", "weights_bytes", "kv_cache_bytes")
"""Numbers of cost that every measurement of the same files gives again."""
WEIGHTS = (1.0, 0.75, 0.5, 0.25, 0.0)
"""Weights of the first of two objectives; the second has the rest."""


@dataclass(frozen=True)
class Prospect:
    """A candidate after a look at it."""

    values: tuple[Interval, ...]
    """Value of each objective, comparable between candidates, with an interval that holds for all looks at one."""
    chance: float
    """Probability that it keeps every limit when it is confirmed."""


def chance(record: Record, goal: Goal, tests: int, ratio: float) -> float:
    """Return the probability that a confirmation keeps every limit, taken as independent.

    Args:
        tests: number of finalists that the confirmation is corrected for.
        ratio: examples of this look over those of the confirmation.
    """
    losses = (loss_chance(limit, record, tests, ratio) for limit in goal.losses)
    bounds = (bound_chance(limit, record, tests, ratio) for limit in goal.bounds)
    return math.prod([*losses, *bounds])


def with_widths(record: Record, goal: Goal) -> Record:
    """Return a look in which every number of the goal that varies between measurements has an interval.

    A single pair leaves some plain (`effcomp.pipeline.between`); they get that of a speed of which nothing is known, so
    that no candidate is dropped, or safe, by noise.
    """
    margin = PRIOR.margin(1)
    for name in goal.numbers:
        field = OBJECTIVES[name].field
        value = field.of(record)
        if field.section in GEOMETRIC and name not in EXACT and value is not None and value.low == value.high:
            around = Interval(value=value.value, low=value.value / margin, high=value.value * margin)
            record = replaced(record, [step for _, step in field.steps], around)
    return record


def replaced(row: Any, path: Sequence[str], value: Interval) -> Any:
    """Return a row with another value at a path of fields."""
    name, *rest = path
    return row.model_copy(update={name: replaced(getattr(row, name), rest, value) if rest else value})


def loss_chance(limit: Loss, record: Record, tests: int, ratio: float) -> float:
    known = limit.evidence(record)
    return 0.0 if known is None else confirmed(known.loss, known.limit, tests, ratio)


def bound_chance(limit: Bound, record: Record, tests: int, ratio: float) -> float:
    objective = OBJECTIVES[limit.objective]
    value = objective.value(record)
    if value is None:
        return 0.0
    of_pairs, bound = objective.field.section in GEOMETRIC, limit.limit
    ratio = 1.0 if of_pairs else ratio  # more examples do not narrow a speed or a cost
    if of_pairs and value.low > 0 and bound > 0:
        low, middle, high, bound = map(math.log, (value.low, value.value, value.high, bound))
        value = Interval(value=middle, low=low, high=high, degrees=value.degrees)
    sign = 1 if limit.side == "max" else -1
    return confirmed(value.scaled(sign), sign * bound, tests, ratio, holds_a_repeat=of_pairs)


def confirmed(seen: Interval, limit: float, tests: int, ratio: float, holds_a_repeat: bool = False) -> float:
    """Return the probability that the whole interval of a second, independent sample lies below a limit.

    The true value is normal around the middle of what was seen; so is the middle of the second interval around the
    true value. The width of an interval falls with the square root of the number of examples.

    Args:
        seen: 95 % interval of the first sample.
        tests: number of finalists that the second interval is corrected for.
        ratio: size of the first sample over that of the second.
        holds_a_repeat: the interval has the error of a second sample of the same size in it already (speed and cost).
    """
    first = (seen.high - seen.low) / 2 / quantile(0.05, seen.degrees)
    second = first * math.sqrt(ratio)
    room = limit - (seen.high + seen.low) / 2 - quantile(0.05 / tests, seen.degrees) * second
    spread = first if holds_a_repeat else math.hypot(first, second)
    return float(room >= 0) if spread == 0 else NORMAL.cdf(room / spread)


def cannot_win(best: Sequence[float], goal: Goal, others: Sequence[Prospect]) -> bool:
    """Return True if a candidate that is better, in both of two objectives, is almost certainly confirmed.

    One has to be sure: several share the examples and the baseline, so their chances are not independent, and not all
    of them are confirmed.

    Args:
        best: each objective at the good end of what the candidate can reach.
    """
    return any(one.chance >= SURE and beats(bad_ends(one, goal), best, goal) for one in others)


def beats(one: Sequence[float], other: Sequence[float], goal: Goal) -> bool:
    """Return True if one is better than the other in an objective, and worse in none."""
    triples = list(zip([OBJECTIVES[name].better for name in goal.objectives], one, other, strict=True))
    return any(better(a, b) for better, a, b in triples) and not any(better(b, a) for better, a, b in triples)


def good_ends(one: Prospect, goal: Goal) -> list[float]:
    return [value.low if lower(name) else value.high for name, value in zip(goal.objectives, one.values, strict=True)]


def bad_ends(one: Prospect, goal: Goal) -> list[float]:
    return [value.high if lower(name) else value.low for name, value in zip(goal.objectives, one.values, strict=True)]


def lower(objective: str) -> bool:
    return OBJECTIVES[objective].direction == "minimize"


def most_promising(prospects: Sequence[Prospect], goal: Goal, count: int) -> list[int]:
    """Return the indices of the candidates that together promise the best confirmed value, the most useful first.

    Each step adds the candidate that raises the expected gain of the set most, where the gain is that of the best one
    confirmed. To have an answer at all counts as much as the whole range between the worst value and the best. Of two
    objectives the gain is the sum over WEIGHTS, so that the set has both ends of the front and something between.
    """
    if not prospects:
        return []
    ranks = [ranked(name, [one.values[at].value for one in prospects]) for at, name in enumerate(goal.objectives)]
    scales = ranks if len(ranks) == 1 else [mixed(ranks, weight) for weight in WEIGHTS]
    chosen: list[int] = []
    while len(chosen) < min(count, len(prospects)):
        rest = [index for index in range(len(prospects)) if index not in chosen]
        gain = {index: sum(expected_gain([*chosen, index], scale, prospects) for scale in scales) for index in rest}
        chosen.append(max(rest, key=lambda index: gain[index]))
    return chosen


def ranked(objective: str, values: list[float]) -> list[float]:
    """Return each value between 1 for the worst and 2 for the best."""
    worst, best = (max(values), min(values)) if lower(objective) else (min(values), max(values))
    return [1 + (value - worst) / ((best - worst) or 1.0) for value in values]


def mixed(ranks: list[list[float]], weight: float) -> list[float]:
    """Return the weighted mean of the ranks in two objectives."""
    return [weight * first + (1 - weight) * second for first, second in zip(*ranks, strict=True)]


def expected_gain(chosen: list[int], gains: list[float], prospects: Sequence[Prospect]) -> float:
    """Return the expected gain of the best confirmed candidate of a set; 0 where none is."""
    total, none_before = 0.0, 1.0
    for index in sorted(chosen, key=lambda index: -gains[index]):
        total += none_before * prospects[index].chance * gains[index]
        none_before *= 1 - prospects[index].chance
    return total
