"""Search: a cheap look at each candidate, more examples for those that may win, and a confirmation of the finalists.

Successive halving (Karnin et al. 2013, "Almost Optimal Exploration in Multi-Armed Bandits") with two rules that save
looks: a candidate whose floor is above the time of another is not looked at, and a pruning that breaks a limit in
float32 is not combined with number formats. With effort=train such a pruning is looked at again after a recovery, and
formats that nearly keep the limits with codes that are fitted to training examples.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from effcomp.core.errors import UserError
from effcomp.find.chance import (
    SURE,
    Prospect,
    bad_ends,
    cannot_win,
    chance,
    good_ends,
    most_promising,
    with_widths,
)
from effcomp.find.plan import Candidate, Plan
from effcomp.find.slices import CONFIRMED, GROWTH, look_slices
from effcomp.record import Record
from effcomp.report.choose.goal import Goal
from effcomp.report.choose.multiplicity import widened
from effcomp.report.choose.recommend import has_objectives
from effcomp.report.objectives import OBJECTIVES, comparable

log = logging.getLogger(__name__)

FINALISTS = {1: 3, 2: 5}
"""Most candidates that are confirmed, by the number of objectives: each more widens the intervals of all."""
LOOK_BENCH = "quick"
"""Bench of the looks; the finalists have the bench of the command."""
FINAL_LOOKS = 3
"""Time of a confirmation in looks, roughly, for the time that is kept for it."""


@dataclass(frozen=True)
class Trial:
    """One measurement of a candidate."""

    candidate: Candidate
    ends: tuple[float, float]
    """Ends of the slice of the test, as shares of it."""
    final: bool
    """True for a confirmation with the bench of the command, False for a look."""

    @property
    def test_slice(self) -> str:
        return f"test_slice=[{self.ends[0]:g},{self.ends[1]:g}]"


MeasureTrial = Callable[[Trial], Record | str]
"""Function that measures a trial, or returns the reason why it has no record."""


@dataclass
class Findings:
    """Measurements of a search, and what they rule out."""

    finals: dict[Candidate, Record] = field(default_factory=dict)
    """Confirmations, by the candidate."""
    looks: dict[Candidate, Record] = field(default_factory=dict)
    """Last look at each candidate."""
    dropped: dict[Candidate, str] = field(default_factory=dict)
    """Reason why a candidate is no finalist."""
    measured: int = 0
    """Number of measurements."""
    tests: int = 1
    """Number of finalists, for which their intervals are corrected."""
    looks_at_most: int = 1
    """Number of looks at one candidate, for which their intervals are corrected."""

    def broken_by(self, record: Record, goal: Goal) -> str | None:
        """Return the limit that a look rules out for sure: with 95 % for all looks at one candidate."""
        return goal.broken_by(widened(record, self.looks_at_most))


class Search:
    """Search for the best candidate that keeps the limits of a goal."""

    def __init__(self, goal: Goal, measure: MeasureTrial, seconds: float | None) -> None:
        """Begin; the clock runs from here.

        Args:
            measure: measures a trial.
            seconds: time after which no look begins; None: no limit.
        """
        self.goal, self.measure, self.seconds = goal, measure, seconds
        self.finalists = FINALISTS[len(goal.objectives)]
        self.found, self.began, self.durations = Findings(), time.monotonic(), list[float]()

    def run(self, plan: Plan) -> Findings:
        """Look, drop, confirm."""
        first, *later = look_slices(plan.test_examples)
        self.found.looks_at_most = 1 + len(later)
        self.look(plan.unpruned, first)
        self.look(plan.probes, first)
        self.look([plan.recovered[one] for one in plan.recovered if one not in self.alive()], first)
        for pair in self.nearly(list(plan.rounded)):
            self.look(plan.rounded[pair], first)
        pruned = [one for one in self.alive() if one.prune != "none"]
        best = self.promising(self.finalists, [one for one in self.alive() if one.prune == "none"])
        for probe in pruned:
            self.look(plan.pruned(probe, best), first)
        for ends in later:
            alive = self.promising(max(self.finalists, -(-len(self.alive()) // GROWTH)), self.alive())
            self.keep(alive, "others promise more after the look at fewer examples")
            self.look(alive, ends)
        finalists = self.promising(self.finalists, self.alive())
        self.keep(finalists, "others promise more")
        self.found.tests = max(1, len(finalists))
        for number, candidate in enumerate(finalists):
            if number and self.over():
                self.found.dropped[candidate] = "the time was used up before its confirmation"
                continue
            record = self.timed(Trial(candidate, CONFIRMED, final=True))
            if isinstance(record, str):
                self.found.dropped[candidate] = record
            else:
                self.found.finals[candidate] = record
        return self.found

    def look(self, candidates: list[Candidate], ends: tuple[float, float]) -> None:
        """Look at candidates with the test examples between these ends, in their order, as long as there is time."""
        for candidate in candidates:
            reason = self.hopeless(candidate)
            if reason is None and len(self.durations) > 1 and self.over(reserve=FINAL_LOOKS):
                if candidate in self.found.looks:
                    continue  # its look at fewer examples counts
                reason = "the time was used up before a look at it"
            if reason is None:
                record = self.timed(Trial(candidate, ends, final=False))
                if isinstance(record, str):
                    reason = record
                else:
                    self.found.looks[candidate] = look = with_widths(record, self.goal)
                    reason = self.fault(look)
            if reason is not None:
                self.found.dropped[candidate] = reason
                log.info("%s: left: %s", candidate.name, reason)

    def timed(self, trial: Trial) -> Record | str:
        start = time.monotonic()
        record = self.measure(trial)
        if not trial.final:
            self.durations.append(time.monotonic() - start)
        self.found.measured += 1
        return record

    def over(self, reserve: int = 0) -> bool:
        """Return True if the time is used up, but for so many times that of a look.

        The first look says nothing of the others: it trains the model and measures the machine's rates for all.
        """
        if self.seconds is None:
            return False
        look_s = median(self.durations[1:]) if reserve else 0.0
        return time.monotonic() - self.began + reserve * look_s > self.seconds

    def fault(self, record: Record) -> str | None:
        """Return the reason why a look rules a candidate out; None where it does not.

        Raises:
            UserError: no configuration of this task has a number of the goal.
        """
        task = record.choices["task"]
        for name in self.goal.numbers:
            if OBJECTIVES[name].value(record) is None:
                if not OBJECTIVES[name].of_decoding:  # which some runtimes alone measure
                    raise UserError(f"hydra.sweeper.goal: {task} has no {name} here; ask for another number")
                return f"its {OBJECTIVES[name].quantity.label} was not measured"
        if any(loss.evidence(record) is None for loss in self.goal.losses):
            raise UserError(f"hydra.sweeper.goal={self.goal.text}: {task} has another kind of quality")
        return self.found.broken_by(record, self.goal)

    def hopeless(self, candidate: Candidate) -> str | None:
        """Return the reason why a candidate is not worth a look; None where it is.

        Its floor is the time of its products at the measured rate of their type (effcomp.measure.roofline); pruned
        candidates have fewer products than those that were measured, so that no floor is known.
        """
        seen = next((one for each, one in self.found.looks.items() if each.prune == "none"), None)
        if seen is None or candidate.prune != "none" or self.goal.objectives != ("latency_p50_ms",):
            return None
        speed, rates = next(iter(seen.speed.by_batch_size.values())), seen.truth.machine.rates or {}
        if speed.floor is None or candidate.compute_dtype not in rates or candidate.compute_dtype in self.refuted():
            return None
        floor_ms = 1e3 * speed.floor.operations / rates[candidate.compute_dtype]
        prospects = list(self.prospects([one for one in self.alive() if one != candidate]).values())
        if not cannot_win([floor_ms], self.goal, prospects):
            return None
        (best,) = min(bad_ends(one, self.goal) for one in prospects if one.chance >= SURE)
        return (
            f"its {candidate.compute_dtype} products take {floor_ms:.2f} ms at least, and another takes {best:.2f} ms"
        )

    def refuted(self) -> set[str]:
        """Return the types of products whose measured rate a look has exceeded."""
        floors = {one: next(iter(look.speed.by_batch_size.values())).floor for one, look in self.found.looks.items()}
        return {one.compute_dtype for one, floor in floors.items() if floor is not None and floor.rates_exceeded}

    def alive(self) -> list[Candidate]:
        return [one for one in self.found.looks if one not in self.found.dropped]

    def prospects(self, candidates: list[Candidate]) -> dict[Candidate, Prospect]:
        """Return the prospects of candidates after the last look at each: values as `broken_by` judges them, with 95 %
        for all looks at one candidate."""
        looks = [self.found.looks[one] for one in candidates]
        judged = [widened(look, self.found.looks_at_most) for look in looks]
        columns = [comparable(OBJECTIVES[name], judged) for name in self.goal.objectives]
        found = {}
        for candidate, look, *values in zip(candidates, looks, *columns, strict=True):
            share = look.config["test_slice"]
            ratio = (share[1] - share[0]) / (CONFIRMED[1] - CONFIRMED[0])
            known = tuple(value for value in values if value is not None)
            assert len(known) == len(values), "a look without an objective was dropped"
            found[candidate] = Prospect(known, chance(look, self.goal, self.finalists, ratio))
        return found

    def promising(self, count: int, among: list[Candidate]) -> list[Candidate]:
        """Return the candidates that promise most among these, and drop those that another beats almost certainly."""
        prospects = self.prospects(self.alive())
        for candidate, prospect in prospects.items():
            others = [one for each, one in prospects.items() if each != candidate]
            if cannot_win(good_ends(prospect, self.goal), self.goal, others):
                worse = OBJECTIVES[self.goal.objectives[0]].quantity.words[1]
                said = worse if len(self.goal.objectives) == 1 else "in nothing better, and in something worse,"
                self.found.dropped[candidate] = f"{said} than one that keeps the limits almost certainly"
        left = {each: one for each, one in prospects.items() if each in among and each not in self.found.dropped}
        names = list(left)
        return [names[index] for index in most_promising(list(left.values()), self.goal, count)]

    def nearly(self, pairs: list[Candidate]) -> list[Candidate]:
        """Return the candidates that are nearest to the limits without keeping them for sure, as many as there are
        finalists: those that would win if they kept them."""
        looked = [one for one, record in self.found.looks.items() if has_objectives(record, self.goal)]
        prospects = self.prospects(looked)
        found = []
        for pair in pairs:
            if pair in prospects and prospects[pair].chance < SURE:
                others = [one for each, one in prospects.items() if each != pair]
                if not cannot_win(good_ends(prospects[pair], self.goal), self.goal, others):
                    found.append(pair)
        return sorted(found, key=lambda one: self.goal.excess(self.found.looks[one]))[: self.finalists]

    def keep(self, kept: list[Candidate], reason: str) -> None:
        """Drop all candidates but these."""
        self.found.dropped |= {one: reason for one in self.alive() if one not in kept}
