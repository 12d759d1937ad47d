"""Recommendation: the best configuration for a goal, and why the next ones lost."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from effcomp.core.errors import UserError
from effcomp.core.interval import Interval
from effcomp.record import Record
from effcomp.record.comparable import is_noisy
from effcomp.report.choose.goal import Goal
from effcomp.report.choose.multiplicity import NOISY, REPEAT, is_without_repeat, widened
from effcomp.report.objectives import OBJECTIVES, Objective, comparable, keeps_time, pareto_front
from effcomp.report.rows import NamedRecord, spread
from effcomp.report.words import facts, three_digits

EXPLAINED = 4
"""Configurations before and after the best one that are explained; the others are counted."""


@dataclass(frozen=True)
class ObjectiveValue:
    """Value of an objective, comparable between the candidates."""

    value: Interval
    number: str
    unit: str
    """The value in words; a speed-up where speed-ups were compared."""


@dataclass(frozen=True)
class RatedRecord:
    """A configuration and its values of the objectives."""

    row: NamedRecord
    measured: dict[str, ObjectiveValue]
    """By the name of the objective, in the order of the goal."""
    broken: list[str]
    """Limits that it is not shown to keep, each in words."""

    @property
    def first(self) -> Interval:
        """Value of the first objective."""
        return next(iter(self.measured.values())).value

    @property
    def numbers(self) -> str:
        return ", ".join(f"{one.number} {one.unit}".rstrip() for one in self.measured.values())


@dataclass(frozen=True)
class Recommendation:
    """Answer to a goal: the best configurations, and the reason why each other one lost."""

    asked: str
    best: str
    """The best configuration in a sentence, or that none keeps the limits; of two objectives the size of the front."""
    others: list[str]
    """Why the next ones lost, each in a sentence."""
    winners: list[Record] = field(default_factory=list)
    """The record of the best configuration, or those of the front; empty where none keeps the limits."""
    tests: int = 1
    """Number of configurations that the intervals are corrected for."""
    noisy: int = 0
    """Number of noisy records, whose intervals of speed and cost are widened."""
    without_repeat: int = 0
    """Number of records whose intervals left out the error of a repeat, and are widened by it."""
    front: list[str] = field(default_factory=list)
    """The configurations of the front, each in a sentence; empty for one objective."""

    @property
    def level(self) -> str | None:
        """Confidence level of the intervals in a sentence; None where it is 95 %."""
        words = []
        if self.tests > 1:
            level = f"{100 - 5 / self.tests:.2f} %"
            words.append(f"intervals of {level}: 95 % corrected for {self.tests} configurations (Bonferroni)")
        if self.noisy:
            words.append(f"{NOISY:g} times as wide for {self.noisy} noisy records")
        if self.without_repeat:
            words.append(f"{REPEAT:.1f} times for {self.without_repeat} records of earlier versions")
        return "; ".join(words) or None


def recommend(rows: Sequence[NamedRecord], goal: Goal, tests: int = 1) -> Recommendation:
    """Return the best configuration of those that keep every limit; for two objectives the Pareto front of those that
    can be told apart (`pareto_front`).

    A limit is kept when the whole interval lies within it; the baseline loses nothing against itself. Speeds are
    compared by the speed-ups over the baseline, or as times (`comparable`).

    Args:
        tests: number of configurations that the intervals are corrected for (`widened`).

    Raises:
        UserError: no record has the number that is asked for, or they are not of one test set.
    """
    if len({row.record.truth.data.fingerprint for row in rows}) > 1:
        raise UserError("--recommend: these records are of several test sets; choose one with --where task=NAME")
    records = [row.record for row in rows]
    noisy, without_repeat = sum(map(is_noisy, records)), sum(map(is_without_repeat, records))
    judged = [replace(row, record=widened(row.record, tests)) for row in rows]
    found = candidates(judged, goal)
    kept = [one for one in found if not one.broken]
    if kept:
        best = front_of(kept, goal)
        said = single(best[0], found, goal) if len(goal.objectives) == 1 else several(best, found, goal)
        others = [*said.others, *more(len(rows) - len(found), f"without {named(goal)}")]
        said = replace(said, others=others, winners=[rows[judged.index(one.row)].record for one in best])
    else:
        closest = sorted(found, key=lambda one: goal.excess(one.row.record))
        others = [f"{one.row.name}: {one.numbers}, but {one.broken[0]}" for one in closest[:EXPLAINED]]
        others += more(len(found) - EXPLAINED, "outside the limits too")
        said = Recommendation(goal.text, "no configuration can be shown to keep the limits", others)
    return replace(said, tests=tests, noisy=noisy, without_repeat=without_repeat)


def front_of(kept: list[RatedRecord], goal: Goal) -> list[RatedRecord]:
    """Return the best of the candidates that keep the limits: one, or those on the front of two objectives."""
    objectives = [OBJECTIVES[name] for name in goal.objectives]
    if len(objectives) == 1:
        sign = 1 if objectives[0].direction == "minimize" else -1
        return [min(kept, key=lambda one: sign * one.first.value)]
    first, second = goal.objectives
    points = [(one.measured[first].value, one.measured[second].value) for one in kept]
    return [kept[index] for index in pareto_front(points, (objectives[0].direction, objectives[1].direction))]


def single(best: RatedRecord, found: list[RatedRecord], goal: Goal) -> Recommendation:
    """Return the recommendation of the best, with those in its order that come before it and break a limit, and those
    after it."""
    reverse = OBJECTIVES[goal.objectives[0]].direction == "maximize"
    ordered = sorted(found, key=lambda one: one.first.value, reverse=reverse)
    before, after = ordered[: ordered.index(best)], [one for one in ordered if not one.broken and one != best]
    others = [
        *(f"{standing(one, best)}, but {one.broken[0]}" for one in before[:EXPLAINED]),
        *more(len(before) - EXPLAINED, "before it, outside the limits"),
        *(standing(one, best) for one in after[:EXPLAINED]),
        *more(len(after) - EXPLAINED, "within the limits"),
        *more(len(ordered) - len(before) - len(after) - 1, "after it, outside the limits"),
    ]
    return Recommendation(goal.text, praised(best), others)


def several(front: list[RatedRecord], found: list[RatedRecord], goal: Goal) -> Recommendation:
    """Return the recommendation of a front, with the next ones against its nearest configuration."""
    broken = sorted((one for one in found if one.broken), key=lambda one: goal.excess(one.row.record))
    beaten = [one for one in found if not one.broken and one not in front]
    others = [
        *(standing(one, nearest(one, front)) for one in beaten[:EXPLAINED]),
        *more(len(beaten) - EXPLAINED, "within the limits"),
        *(f"{standing(one, nearest(one, front))}, but {one.broken[0]}" for one in broken[:EXPLAINED]),
        *more(len(broken) - EXPLAINED, "outside the limits"),
    ]
    size = (
        "1 configuration beats" if len(front) == 1 else f"{len(front)} configurations, none of which is shown to beat"
    )
    best = f"{size} the others in {named(goal)}"
    return Recommendation(goal.text, best, others, front=[praised(one) for one in front])


def named(goal: Goal) -> str:
    """Return the objectives in words."""
    return " and ".join(OBJECTIVES[name].quantity.label for name in goal.objectives)


def nearest(one: RatedRecord, front: list[RatedRecord]) -> RatedRecord:
    """Return the configuration of the front whose first objective is nearest."""
    return min(front, key=lambda other: abs(other.first.value - one.first.value))


def compared(rows: Sequence[NamedRecord], goal: Goal) -> int:
    """Return the number of configurations that a recommendation compares: those with the objectives, without the
    baseline."""
    return max(1, sum(not row.record.is_baseline and has_objectives(row.record, goal) for row in rows))


def has_objectives(record: Record, goal: Goal) -> bool:
    return all(OBJECTIVES[name].value(record) is not None for name in goal.objectives)


def candidates(rows: Sequence[NamedRecord], goal: Goal) -> list[RatedRecord]:
    """Return the rows that have every objective.

    Raises:
        UserError: none has it, or none has a number that is limited.
    """
    records = [row.record for row in rows]
    names = [bound.objective for bound in goal.bounds]
    limited = {name: [OBJECTIVES[name].value(record) for record in records] for name in names}
    wanted = {name: measured(OBJECTIVES[name], records) for name in goal.objectives}
    for name, values in (limited | wanted).items():
        if not any(values):
            raise UserError(f"--recommend {goal.text}: no record has {name}; ask for another number")
    for loss in goal.losses:
        if not any(loss.evidence(record) for record in records):
            raise UserError(f"--recommend {goal.text}: no record has {loss.quality}; ask for another number")
    found = []
    for index, row in enumerate(rows):
        own = {name: value for name, values in wanted.items() if (value := values[index]) is not None}
        if len(own) == len(goal.objectives):
            broken = [bound.broken_by(limited[bound.objective][index]) for bound in goal.bounds]
            if not row.record.is_baseline:
                broken += [loss.broken_by(row.record) for loss in goal.losses]
            found.append(RatedRecord(row, own, [reason for reason in broken if reason is not None]))
    return found


def measured(objective: Objective, records: list[Record]) -> list[ObjectiveValue | None]:
    """Return the objective of each record, as its speed-up in words where all have one to the same baseline."""
    having = [record for record in records if objective.value(record) is not None]
    as_times = any(keeps_time(objective, record) for record in having)
    as_ratios = len(set(map(objective.setting, having))) == 1 and not as_times
    found: list[ObjectiveValue | None] = []
    for record, value in zip(records, comparable(objective, records), strict=True):
        if value is None:
            found.append(None)
        elif as_ratios and objective.speedup is not None and (speedup := objective.speedup(record)):
            found.append(ObjectiveValue(value, spread(speedup, 2), "times the baseline's speed"))
        else:
            by_ratio = " (by its ratio)" if as_times and not keeps_time(objective, record) else ""
            found.append(ObjectiveValue(value, three_digits(objective, value) + by_ratio, objective.quantity.unit))
    return found


def praised(best: RatedRecord) -> str:
    """State the facts about a configuration, and those of its objectives that are not among them."""
    known = {name: f"{one.number} {one.unit}".rstrip() for name, one in best.measured.items()}
    labelled = [f"{OBJECTIVES[name].quantity.label}: {words}" for name, words in known.items()]
    if best.row.record.is_baseline:
        return f"{best.row.name}: no other keeps the limits and is better; {', '.join(labelled)}"
    said = facts(best.row)
    speeds = [
        one.number if OBJECTIVES[name].speedup is not None else known[name] for name, one in best.measured.items()
    ]
    unsaid = [words for words, number in zip(labelled, speeds, strict=True) if number not in said]
    return "; ".join([said, *unsaid])


def standing(one: RatedRecord, best: RatedRecord) -> str:
    """Compare a configuration with the best: `fp16: slower: 8.1 [7.9, 8.3] against 4.4 [4.2, 4.6] ms`."""
    compared = []
    for name, own in one.measured.items():
        better, worse = OBJECTIVES[name].quantity.words
        other = best.measured[name]
        if own.value.low <= other.value.high and other.value.low <= own.value.high:
            word = "a tie"
        else:
            word = better if OBJECTIVES[name].better(own.value.value, other.value.value) else worse
        compared.append(f"{word}: {own.number} against {other.number} {other.unit}".rstrip())
    return f"{one.row.name}: {'; '.join(compared)}"


def more(count: int, words: str) -> list[str]:
    """Return a line for those that are not explained; none where there are none."""
    return [f"{count:,} more {words}"] if count > 0 else []
