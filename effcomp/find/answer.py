"""Answer of a search: the best confirmed candidate, and why the others lost."""

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from effcomp.find.plan import Candidate, Plan
from effcomp.find.search import Findings
from effcomp.find.slices import CONFIRMED
from effcomp.pipeline.again import ways_on
from effcomp.record import Record
from effcomp.report.choose.goal import Goal
from effcomp.report.choose.limits import Loss
from effcomp.report.choose.multiplicity import widened
from effcomp.report.choose.recommend import Recommendation, recommend
from effcomp.report.rows import NamedRecord, rows
from effcomp.report.table.terminal import print_recommendation

SHOWN = 8
"""Candidates without a confirmation that are explained; the others are counted."""
EXIT_CODES = {"found": 0, "broken": 1, "undecided": 3}
"""Exit codes of a search by its verdict, as those of effcomp check."""


@dataclass(frozen=True)
class Answer:
    """Answer of a search."""

    verdict: Literal["found", "broken", "undecided"]
    """Found: a finalist keeps every limit; broken: every candidate breaks one for sure; undecided: neither is shown."""
    recommendation: Recommendation
    confirmed: list[Record]
    """Records of the finalists; empty where the looks ruled out all."""
    dropped: list[str]
    """Why each of the others is no finalist, in a line."""
    winners: list[Candidate]
    """Best finalist that keeps the limits, or the front of two objectives; empty where none is shown to."""


def answer(goal: Goal, found: Findings) -> Answer:
    """Judge the finalists by the goal, with intervals that are corrected for their number.

    Where the looks ruled out all candidates, the looks themselves are judged: none keeps the limits.

    Args:
        found: of a search that measured one candidate at least.
    """
    finals = list(found.finals.values())
    judged = rows(finals or last_looks(found))
    dropped = [f"{one.name}: {reason}" for one, reason in found.dropped.items()]
    recommendation = recommend(judged, goal, found.tests)
    if finals and recommendation.winners:
        winners = [one for best in recommendation.winners for one, record in found.finals.items() if record is best]
        return Answer("found", recommendation, finals, dropped, winners)
    corrected = [replace(row, record=widened(row.record, found.tests)) for row in judged]
    closest = min(corrected, key=lambda row: goal.excess(row.record))
    sure = all_broken(goal, found)
    said = all_break(goal, closest, len(found.looks)) if sure else none_is_shown(goal, closest)
    return Answer("broken" if sure else "undecided", replace(recommendation, best=said), finals, dropped, [])


def last_looks(found: Findings) -> list[Record]:
    """Return the looks with the most examples."""
    most = max(record.truth.data.test_examples for record in found.looks.values())
    return [record for record in found.looks.values() if record.truth.data.test_examples == most]


def all_broken(goal: Goal, found: Findings) -> bool:
    """Return True if every candidate was measured, and of each a whole interval lies beyond a limit.

    Nothing is corrected for their number: the claim needs every one of these tests (intersection-union test, Berger
    1982).
    """
    broken = {one for one, look in found.looks.items() if found.broken_by(look, goal) is not None}
    broken |= {one for one, record in found.finals.items() if goal.broken_by(widened(record, 1)) is not None}
    return broken == set(found.looks) | set(found.dropped)


def all_break(goal: Goal, closest: NamedRecord, count: int) -> str:
    """State that every candidate breaks a limit, and the closest."""
    said = f"none of {count} configurations keeps {' '.join(goal.limits)}: each breaks a limit with its whole interval"
    return f"{said}; the closest is {closest.name}"


def none_is_shown(goal: Goal, closest: NamedRecord) -> str:
    """State that none is shown to keep the limits, the closest, and the size of a test that would decide on it."""
    said = f"no configuration can be shown to keep {' '.join(goal.limits)}; the closest is {closest.name}"
    needed = examples_needed(goal, closest.record)
    if needed is None:
        return f"{said}, and its estimate is beyond a limit: more examples would hardly show that it keeps it"
    if not needed:
        return f"{said}, which keeps them in its look: no confirmation came through"
    total = round(needed / (CONFIRMED[1] - CONFIRMED[0]))
    return f"{said}: a test of about {total:,} examples would decide, of which a half confirms"


def examples_needed(goal: Goal, record: Record) -> int | None:
    """Return the number of examples that would show that a record keeps every limit; None where no number would."""
    needed = [0]
    for limit in goal.limits.values():
        if limit.standing(record).verdict != "kept":
            known = limit.evidence(record) if isinstance(limit, Loss) else None
            if known is None or known.needed is None:
                return None
            needed.append(known.needed)
    return max(needed)


@dataclass(frozen=True)
class WinnersRun:
    """Run that confirmed a winner."""

    record: Record
    folder: Path
    model_id: str | None
    """Id of its model in MLflow; None where none was logged."""


def in_words(one: Answer, runs: list[WinnersRun]) -> str:
    """Return the answer as people read it, with the next commands.

    Args:
        runs: of the winners.
    """
    text = io.StringIO()
    print_recommendation(one.recommendation, text)
    lines = [text.getvalue().rstrip(), ""]
    if one.confirmed:
        unseen = f"{one.confirmed[0].truth.data.test_examples:,} test examples that the search did not use"
        measured = f"The finalists were measured on {unseen}; none is shown to keep the limits."
        lines.append(f"Confirmed on {unseen}." if one.winners else measured)
    else:
        lines.append("Not confirmed: the looks ruled out every candidate, or no confirmation came through.")
    if one.dropped:
        lines += ["", "not confirmed:", *(f"  {line}" for line in one.dropped[:SHOWN])]
        lines += [f"  {len(one.dropped) - SHOWN} more"] if len(one.dropped) > SHOWN else []
    for winner, run in zip(one.winners, runs, strict=True):
        lines += ["", *([f"{winner.name}:"] if len(runs) > 1 else [])]
        lines.append(ways_on(run.record, run.folder, run.model_id))
    return "\n".join(lines)


def as_json(one: Answer, goal: Goal, plan: Plan, found: Findings, runs: list[WinnersRun]) -> str:
    """Return the answer for a program."""
    winners = [
        {"name": winner.name, "overrides": winner.overrides, "run": str(run.folder)}
        for winner, run in zip(one.winners, runs, strict=True)
    ]
    return json.dumps(
        {
            "goal": goal.text,
            "verdict": one.verdict,
            "answer": one.recommendation.best,
            "winners": winners,
            "finalists": [each.name for each in found.finals],
            "candidates": len(plan.unpruned) + len(plan.probes),
            "measured": found.measured,
            "others": one.recommendation.others,
            "not_confirmed": one.dropped,
        },
        indent=1,
    )
