"""Checks of a goal before anything is measured: numbers that the task has, and limits that its test can show."""

from bisect import bisect_left

import numpy as np

from effcomp.core.errors import UserError
from effcomp.core.statistics import paired_difference
from effcomp.find.slices import CONFIRMED
from effcomp.models.heads import Head, Problem
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
from effcomp.report.choose.multiplicity import stretch
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
    for name in goal.numbers:
        if others & {owner for owner, _ in OBJECTIVES[name].field.steps}:
            raise UserError(f"{goal.text}: task={task.name} has no {name}; ask for another number")
    for typed, limit in goal.limits.items():
        if isinstance(limit, Loss) and not isinstance(limit, LOSS_OF[task.problem]):
            raise UserError(f"{typed}: task={task.name} has no {limit.quality}; ask for another number")


def check_decoding(goal: Goal, head: Head, task: Task, new_tokens: int) -> None:
    """Check that decoding is measured where the goal has a number of it.

    Args:
        new_tokens: `bench.new_tokens`.

    Raises:
        UserError: the model does not decode with this task, or nothing is to be written.
    """
    for name in goal.numbers:
        if not OBJECTIVES[name].of_decoding:
            continue
        if head != "causal_lm":
            reason = f"only a causal_lm has {name}, and this model is a {head} with task={task.name}"
            raise UserError(f"{goal.text}: {reason}; ask for another number")
        if new_tokens == 0:
            raise UserError(f"{goal.text}: bench.new_tokens=0 measures no {name}; give 1 or more")


def beyond_the_test(goal: Goal, test_examples: int, finalists: int) -> list[str]:
    """Return a line for each limit on accuracy that the test is too small for: its confirmation could not show the
    limit of a model with the same answers as the baseline.

    Args:
        finalists: most finalists, for which the intervals of a confirmation are corrected.
    """
    share = CONFIRMED[1] - CONFIRMED[0]
    examples, lines = int(share * test_examples), []
    for typed, limit in goal.limits.items():
        if isinstance(limit, AccuracyDrop) and (least := least_drop(examples, finalists)) > limit.limit:
            needed = bisect_left(range(MOST_EXAMPLES), -limit.limit, key=lambda count: -least_drop(count, finalists))
            enough = f", or {round(needed / share):,} test examples" if needed < MOST_EXAMPLES else ""
            lines.append(
                f"{typed}: the {examples:,} test examples that confirm cannot show it: of a model with the baseline's "
                f"own answers, one of {finalists} finalists, they show a drop of at most {least:.2f} points; give a "
                f"wider limit{enough}"
            )
    return lines


def least_drop(examples: int, finalists: int) -> float:
    """Return the drop of accuracy in points that a test cannot rule out of one among several finalists where no answer
    differs."""
    same = np.ones(examples, bool)
    return -100 * stretch(paired_difference(same, same), finalists, geometric=False).low
