"""Goal of a recommendation: `max_accuracy_drop=0.5 minimize=latency_p50_ms`."""

from dataclasses import dataclass

from effcomp.core.errors import UserError
from effcomp.record import Record
from effcomp.report.choose.limits import LIMITS, Bound, Loss, parse_limits
from effcomp.report.objectives import OBJECTIVES, Direction

GRAMMAR = f"give minimize=NAME or maximize=NAME, or two: minimize=[NAME,NAME], and any of {LIMITS}"

DIRECTIONS: dict[str, Direction] = {
    "minimize": "minimize",
    "maximize": "maximize",
    "minimise": "minimize",
    "maximise": "maximize",
}
"""Directions by the words that are typed."""
MOST_OBJECTIVES = 2


@dataclass(frozen=True)
class Goal:
    """One objective or two to optimize among the configurations that keep every limit."""

    text: str
    """The goal as it was typed."""
    objectives: tuple[str, ...]
    limits: dict[str, Bound | Loss]
    """Limits by the words that were typed."""

    @property
    def numbers(self) -> list[str]:
        """Names of the objectives, and of those that are limited."""
        return [*self.objectives, *(bound.objective for bound in self.bounds)]

    @property
    def bounds(self) -> list[Bound]:
        return [limit for limit in self.limits.values() if isinstance(limit, Bound)]

    @property
    def losses(self) -> list[Loss]:
        return [limit for limit in self.limits.values() if isinstance(limit, Loss)]

    def broken_by(self, record: Record) -> str | None:
        """Return why a limit is broken for sure: all of an interval lies beyond it; None where none is."""
        standings = [limit.standing(record) for limit in self.limits.values()]
        return next((one.reason for one in standings if one.verdict == "broken"), None)

    def excess(self, record: Record) -> float:
        """Return how far a record is from keeping every limit: the largest `excess` of one; 0 where it keeps all."""
        return max([0.0, *(limit.excess(record) for limit in self.limits.values())])


def parse_goal(items: list[str], option: str = "--recommend") -> Goal:
    """Parse typed items.

    Args:
        option: the option of the command line that they were given to.

    Raises:
        UserError: an item is not in GRAMMAR, or there are not one or two objectives.
    """
    wanted: list[str] = []
    typed: list[str] = []
    for item in items:
        key, _, value = item.partition("=")
        names = value.removeprefix("[").removesuffix("]").split(",")
        if key not in DIRECTIONS or not set(names) <= set(OBJECTIVES):
            typed.append(item)
            continue
        for name in names:
            better = OBJECTIVES[name].direction
            if DIRECTIONS[key] != better:
                side = "lower" if better == "minimize" else "higher"
                raise UserError(f"{option} {item}: {side} {name} is better; write {better}={name}")
            wanted.append(name)
    limits = parse_limits(typed, option, GRAMMAR)
    if not 1 <= len(set(wanted)) == len(wanted) <= MOST_OBJECTIVES:
        raise UserError(
            f"{option} {' '.join(items)}: give one objective or two different ones, not {len(wanted)}; {GRAMMAR}"
        )
    return Goal(" ".join(items), tuple(wanted), limits)
