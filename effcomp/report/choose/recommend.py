"""Recommendation: the best configuration for a goal, and why the next ones lost."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from effcomp.core.errors import UserError
from effcomp.core.interval import Interval
from effcomp.record import Record
from effcomp.record.baseline import is_baseline
from effcomp.report.choose.goal import Goal
from effcomp.report.choose.multiplicity import NOISY, is_noisy, widened
from effcomp.report.objectives import OBJECTIVES, Objective, comparable, keeps_time
from effcomp.report.rows import NamedRecord, spread
from effcomp.report.words import facts, three_digits

EXPLAINED = 4
"""Configurations before and after the best one that are explained; the others are counted."""


@dataclass(frozen=True)
class Candidate:
    """A configuration and its value of the objective."""

    row: NamedRecord
    value: Interval
    """Value of the objective, comparable between the candidates."""
    number: str
    unit: str
    """The value in words; a speed-up where speed-ups were compared."""
    broken: list[str]
    """Limits that it is not shown to keep, each in words."""


@dataclass(frozen=True)
class Recommendation:
    asked: str
    best: str
    """The best configuration in a sentence, or that none keeps the limits."""
    others: list[str]
    """Why the next ones lost, each in a sentence."""
    winner: Record | None = None
    """The record of the best configuration; None where none keeps the limits."""
    tests: int = 1
    """Number of configurations that the intervals are corrected for."""
    noisy: int = 0
    """Number of noisy records, whose intervals of speed and cost are widened."""

    @property
    def level(self) -> str | None:
        """Confidence level of the intervals in a sentence; None where it is 95 %."""
        words = []
        if self.tests > 1:
            level = f"{100 - 5 / self.tests:.2f} %"
            words.append(f"intervals of {level}: 95 % corrected for {self.tests} configurations (Bonferroni)")
        if self.noisy:
            words.append(f"{NOISY:g} times as wide for {self.noisy} noisy records")
        return "; ".join(words) or None


def recommend(rows: Sequence[NamedRecord], goal: Goal, tests: int = 1) -> Recommendation:
    """Return the best configuration of those that keep every limit.

    A limit is kept when the whole interval lies within it; the baseline loses nothing against itself. Speeds are
    compared by the speed-ups over the baseline, or as times (`comparable`).

    Args:
        tests: number of configurations that the intervals are corrected for (`widened`).

    Raises:
        UserError: no record has the number that is asked for, or they are not of one test set.
    """
    if len({row.record.truth.data.fingerprint for row in rows}) > 1:
        raise UserError("--recommend: these records are of several test sets; choose one with --where task=NAME")
    objective, noisy = OBJECTIVES[goal.objective], sum(is_noisy(row.record) for row in rows)
    judged = [replace(row, record=widened(row.record, tests)) for row in rows]
    found = sorted(candidates(judged, goal), key=lambda one: one.value.value, reverse=objective.direction == "maximize")
    kept = [one for one in found if not one.broken]
    if not kept:
        others = [f"{one.row.name}: {one.number} {one.unit}, but {one.broken[0]}" for one in found[:EXPLAINED]]
        others += more(len(found) - EXPLAINED, "do not keep them either")
        return Recommendation(goal.text, "no configuration can be shown to keep the limits", others, None, tests, noisy)
    best, behind = kept[0], kept[1:]
    before = found[: found.index(best)]
    return Recommendation(
        goal.text,
        praised(best, objective),
        [
            *(f"{standing(one, best, goal)}, but {one.broken[0]}" for one in before[:EXPLAINED]),
            *more(len(before) - EXPLAINED, "come before it and do not keep the limits"),
            *(standing(one, best, goal) for one in behind[:EXPLAINED]),
            *more(len(behind) - EXPLAINED, "keep the limits"),
            *more(len(found) - len(before) - len(kept), "come behind it and do not keep the limits"),
            *more(len(rows) - len(found), f"have no {objective.quantity.label}"),
        ],
        next(row.record for row in rows if row.name == best.row.name),
        tests,
        noisy,
    )


def compared(rows: Sequence[NamedRecord], goal: Goal) -> int:
    """Return the number of configurations that a recommendation compares: those with the objective, without the
    baseline."""
    value = OBJECTIVES[goal.objective].value
    return max(1, sum(not is_baseline(row.record) and value(row.record) is not None for row in rows))


def candidates(rows: Sequence[NamedRecord], goal: Goal) -> list[Candidate]:
    """Return the rows that have the objective.

    Raises:
        UserError: none has it, or none has a number that is limited.
    """
    records = [row.record for row in rows]
    objective = OBJECTIVES[goal.objective]
    values = {
        name: comparable(OBJECTIVES[name], records) for name in [goal.objective, *(b.objective for b in goal.bounds)]
    }
    for name, found_values in values.items():
        if not any(found_values):
            raise UserError(f"--recommend {goal.text}: no record has {name}; ask for another number")
    for loss in goal.losses:
        if not any(loss.evidence(record) for record in records):
            raise UserError(f"--recommend {goal.text}: no record has {loss.quality}; ask for another number")
    measured = [record for record in records if objective.value(record) is not None]
    as_times = any(keeps_time(objective, record) for record in measured)
    as_ratios = len(set(map(objective.setting, measured))) == 1 and not as_times
    found = []
    for index, row in enumerate(rows):
        value = values[goal.objective][index]
        if value is not None:
            broken = [bound.broken_by(values[bound.objective][index]) for bound in goal.bounds]
            if not is_baseline(row.record):
                broken += [loss.broken_by(row.record) for loss in goal.losses]
            number, unit = three_digits(objective, value), objective.quantity.unit
            if as_times and not keeps_time(objective, row.record):
                number += " (by its ratio)"
            if as_ratios and objective.speedup is not None and (speedup := objective.speedup(row.record)):
                number, unit = spread(speedup, 2), "times the baseline's speed"
            found.append(Candidate(row, value, number, unit, [reason for reason in broken if reason is not None]))
    return found


def praised(best: Candidate, objective: Objective) -> str:
    measured = f"{best.number} {best.unit}".rstrip()
    if is_baseline(best.row.record):
        return f"{best.row.name}: no other keeps the limits and is better; {objective.quantity.label}: {measured}"
    words = facts(best.row)
    said = best.number if objective.speedup is not None else measured
    return words if said in words else f"{words}; {objective.quantity.label}: {measured}"


def standing(one: Candidate, best: Candidate, goal: Goal) -> str:
    """Compare a configuration with the best: `fp16: slower: 8.1 [7.9, 8.3] against 4.4 [4.2, 4.6] ms`."""
    better, worse = OBJECTIVES[goal.objective].quantity.words
    if one.value.low <= best.value.high and best.value.low <= one.value.high:
        word = "a tie"
    else:
        word = better if OBJECTIVES[goal.objective].better(one.value.value, best.value.value) else worse
    return f"{one.row.name}: {word}: {one.number} against {best.number} {best.unit}".rstrip()


def more(count: int, words: str) -> list[str]:
    """Return a line for those that are not explained; none where there are none."""
    return [f"{count:,} more {words}"] if count > 0 else []
