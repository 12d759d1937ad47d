"""Answer of a search: the best confirmed candidate, and why the others lost."""

import io
import json
from dataclasses import dataclass
from pathlib import Path

from effcomp.find.plan import Candidate, Plan
from effcomp.find.search import Found
from effcomp.pipeline.again import ways_on
from effcomp.record import Record
from effcomp.report.choose.goal import Goal
from effcomp.report.choose.recommend import Recommendation, recommend
from effcomp.report.rows import rows
from effcomp.report.table.terminal import print_recommendation

SHOWN = 8
"""Candidates without a confirmation that are explained; the others are counted."""


@dataclass(frozen=True)
class Answer:
    """Answer of a search."""

    recommendation: Recommendation
    confirmed: int
    """Number of finalists that were confirmed; 0 where the looks ruled out all."""
    dropped: list[str]
    """Why each of the others is no finalist, in a line."""
    winner: Candidate | None
    """Best finalist that keeps the limits; None where no candidate is shown to."""


def answer(goal: Goal, found: Found) -> Answer:
    """Judge the finalists by the goal, with intervals that are corrected for their number.

    Where the looks ruled out all candidates, the looks themselves are judged: none keeps the limits.

    Args:
        found: of a search that measured one candidate at least.
    """
    judged = found.finals or last_looks(found)
    recommendation = recommend(rows(list(judged.values())), goal, found.tests)
    winner = next((name for name, record in found.finals.items() if record is recommendation.winner), None)
    dropped = [f"{one.name}: {reason}" for one, reason in found.dropped.items()]
    return Answer(recommendation, len(found.finals), dropped, winner)


def last_looks(found: Found) -> dict[Candidate, Record]:
    """Return the looks with the most examples."""
    most = max(record.truth.data.test_examples for record in found.looks.values())
    return {name: record for name, record in found.looks.items() if record.truth.data.test_examples == most}


@dataclass(frozen=True)
class WinnersRun:
    """Run that confirmed the winner."""

    record: Record
    folder: Path
    model_id: str | None
    """Id of its model in MLflow; None where none was logged."""


def in_words(one: Answer, run: WinnersRun | None) -> str:
    """Return the answer as people read it, with the next commands.

    Args:
        run: of the winner; None where there is none.
    """
    text = io.StringIO()
    print_recommendation(one.recommendation, text)
    lines = [text.getvalue().rstrip(), ""]
    if one.confirmed:
        lines.append("Confirmed on test examples that the search did not use.")
    else:
        lines.append("Not confirmed: the looks ruled out every candidate, or no confirmation came through.")
    if one.dropped:
        lines += ["", "not confirmed:", *(f"  {line}" for line in one.dropped[:SHOWN])]
        lines += [f"  {len(one.dropped) - SHOWN} more"] if len(one.dropped) > SHOWN else []
    if run is not None:
        lines += ["", ways_on(run.record, run.folder, run.model_id)]
    return "\n".join(lines)


def as_json(one: Answer, goal: Goal, plan: Plan, found: Found, run: WinnersRun | None) -> str:
    """Return the answer for a program."""
    return json.dumps(
        {
            "goal": goal.text,
            "verdict": "none" if one.winner is None else "found",
            "answer": one.recommendation.best,
            "winner": None if one.winner is None else one.winner.overrides,
            "run": None if run is None else str(run.folder),
            "finalists": [each.name for each in found.finals],
            "candidates": len(plan.unpruned) + len(plan.probes),
            "measured": found.measured,
            "not_confirmed": one.dropped,
        },
        indent=1,
    )
