"""Checks of a goal before anything is measured: numbers that the task has, and limits that its test can show."""

from bisect import bisect_left

import numpy as np

from effcomp.core.errors import UserError
from effcomp.core.statistics import paired_difference
from effcomp.find.slices import CONFIRMED
from effcomp.models.heads import Problem
from effcomp.record import (
    GenerationQuality,
    GenerationVersus,
    LanguageQuality,
    LanguageVersus,
    Quality,
    VersusBaseline,
)
from effcomp.report.choose.goal import Goal
from effcomp.report.choose.limits import AccuracyDrop, HeadlineDrop, Loss, PerplexityIncrease
from effcomp.report.objectives import OBJECTIVES
from effcomp.tasks.base import Task

SECTIONS: dict[Problem, tuple[type, ...]] = {
    "classification": (Quality, VersusBaseline),
    "language_modelling": (LanguageQuality, LanguageVersus),
    "generation": (GenerationQuality, GenerationVersus),
}
"""Rows of the Record that hold the quality of a task."""
LOSS_OF: dict[Problem, type[Loss]] = {
    "classification": AccuracyDrop,
    "language_modelling": PerplexityIncrease,
    "generation": HeadlineDrop,
}
MOST_EXAMPLES = 1_000_000


def check_quality(goal: Goal, task: Task) -> None:
    """Check that the goal has no number of another kind of task.

    Raises:
        UserError: it has one.
    """
    others = {kind for problem, kinds in SECTIONS.items() if problem != task.problem for kind in kinds}
    for name in (*goal.objectives, *(bound.objective for bound in goal.bounds)):
        if others & {owner for owner, _ in OBJECTIVES[name].field.steps}:
            raise UserError(f"{goal.text}: task={task.name} has no {name}; ask for another number")
    for typed, limit in goal.limits.items():
        if isinstance(limit, Loss) and not isinstance(limit, LOSS_OF[task.problem]):
            raise UserError(f"{typed}: task={task.name} has no {limit.quality}; ask for another number")


def beyond_the_test(goal: Goal, test_examples: int) -> list[str]:
    """Return a line for each limit on accuracy that the test is too small for: its confirmation could not show the
    limit of a model with the same answers as the baseline."""
    share = CONFIRMED[1] - CONFIRMED[0]
    examples, lines = int(share * test_examples), []
    for typed, limit in goal.limits.items():
        if isinstance(limit, AccuracyDrop) and least_drop(examples) > limit.limit:
            needed = bisect_left(range(MOST_EXAMPLES), -limit.limit, key=lambda count: -least_drop(count))
            lines.append(
                f"{typed}: the {examples:,} test examples that confirm cannot show it: of a model with the baseline's "
                f"own answers they show a drop of at most {least_drop(examples):.2f} points; give a wider limit, or "
                f"{round(needed / share):,} test examples"
            )
    return lines


def least_drop(examples: int) -> float:
    """Return the drop of accuracy in points that a test cannot rule out where no answer differs."""
    same = np.ones(examples, bool)
    return -100 * paired_difference(same, same).low
