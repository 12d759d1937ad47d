"""Plan of a search: the candidates that this machine runs, and what is left out, with the reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from textwrap import fill
from typing import TYPE_CHECKING

from effcomp.artifact.architectures import takes_cache
from effcomp.core.errors import UserError
from effcomp.core.processors import ComputeDtype
from effcomp.core.text import TEXT_WIDTH
from effcomp.find.promises import check_decoding, check_quality
from effcomp.find.slices import CONFIRMED, GROWTH, look_slices
from effcomp.finetune.base import Finetune
from effcomp.models.heads import HEADS
from effcomp.pipeline.checks import check, check_fit, count_parameters
from effcomp.pipeline.compose import Components, pin
from effcomp.pipeline.prepare import prepare, sliced
from effcomp.pipeline.stage import Run
from effcomp.prune.base import NoPrune, Prune, PruneAndRecover
from effcomp.prune.sparse import SparsePruner
from effcomp.quant.base import Quant
from effcomp.quant.grouped import CALIBRATED, Grouped
from effcomp.quant.lowering import Lowering, lowering, lowerings
from effcomp.report.choose.goal import Goal
from effcomp.report.objectives import OBJECTIVES
from effcomp.runtimes.base import Runtime

if TYPE_CHECKING:
    from transformers import PretrainedConfig

NARROWEST_FIRST: tuple[ComputeDtype, ...] = ("int8", "float8", "float16", "bfloat16", "float32")
"""Order of the looks: the formats with the cheapest products first, so that their times show which others are too
slow."""
BYTES = ("artifact_bytes", "weights_bytes")
"""Objectives that the size of float32 weights, which no runtime stores in fewer bytes, is a lower bound of."""
SCENARIOS = {"server_requests_per_s": "server"}
"""Objectives that are measured in a scenario alone, which every measurement of the search then has."""
STORES_ZEROS = "it stores its zeros, and dense kernels multiply them: no bytes and no time are saved"


@dataclass(frozen=True)
class Candidate:
    """A configuration of the search, by the names of its choices."""

    quant: str
    prune: str
    runtime: str
    compute_dtype: ComputeDtype
    """Type that its products are computed in."""
    settings: tuple[str, ...] = ()
    """Overrides of its rounding and of its recovery; none for the settings of the command."""

    @property
    def overrides(self) -> tuple[str, ...]:
        return f"quant={self.quant}", f"prune={self.prune}", f"runtime={self.runtime}", *self.settings

    @property
    def name(self) -> str:
        pruned = "" if self.prune == "none" else f" + {self.prune}"
        more = "".join(f" + {word.rpartition('=')[2]}" for word in self.settings)
        return f"{self.quant}{pruned}{more} on {self.runtime}"


BASELINE = Candidate("none", "none", "torch", "float32")
RECOVERY = "distill"
"""Fine-tuning of a pruned model: it learns from the model before pruning."""
HOURS = "it takes hours for a decoder on a CPU"


@dataclass(frozen=True)
class Plan:
    """Candidates of a search, before anything is measured."""

    unpruned: list[Candidate]
    """Every number format on every runtime, the cheapest products first."""
    probes: list[Candidate]
    """Each pruning method in float32 on PyTorch: where pruning alone breaks a limit, no format helps."""
    left_out: dict[str, str]
    """Reason by what is left out."""
    test_examples: int
    """Test examples (or documents), of which one half is for the looks and the other for the finalists."""
    recovered: dict[Candidate, Candidate] = field(default_factory=dict)
    """Each probe with a recovery, for those that break a limit; empty where the search does not train."""
    rounded: dict[Candidate, list[Candidate]] = field(default_factory=dict)
    """Candidates with codes fitted to training examples, for those that nearly keep the limits; empty as above."""

    def pruned(self, probe: Candidate, unpruned: list[Candidate]) -> list[Candidate]:
        """Return the candidates that combine a probe's pruning with these formats and runtimes."""
        combined = [replace(one, prune=probe.prune, settings=one.settings + probe.settings) for one in unpruned]
        return [one for one in combined if one != probe]

    def looks_at_most(self, finalists: int) -> int:
        """Return the number of looks if nothing is dropped before it has to be.

        Args:
            finalists: number of formats and runtimes that each pruning is combined with, and whose codes are fitted.
        """
        prunings = len(self.probes) + len(self.recovered)
        fitted = sorted(map(len, self.rounded.values()), reverse=True)[:finalists]
        candidates = looks = len(self.unpruned) + sum(fitted) + prunings * (1 + finalists)
        for _ in look_slices(self.test_examples)[1:]:
            candidates = max(finalists, -(-candidates // GROWTH))
            looks += candidates
        return looks


@dataclass(frozen=True)
class Space:
    """Components to choose from, by the names of their choices."""

    quants: Mapping[str, Quant]
    prunes: Mapping[str, Prune]
    runtimes: Mapping[str, Runtime]
    recovery: Finetune | None = None
    """Fine-tuning that recovers pruned models; None for a search without training and without fitted codes."""


def scenarios(goal: Goal) -> list[str]:
    """Return the scenarios that a goal needs."""
    return sorted({SCENARIOS[name] for name in goal.numbers if name in SCENARIOS})


def make_plan(base: Components, space: Space, goal: Goal) -> Plan:
    """List the candidates that run on this machine. Nothing is measured or written.

    The baseline itself (float32 in eager PyTorch, not pruned) is no candidate: every candidate is compared with it.

    Args:
        base: the baseline's components, with the settings that all candidates share.

    Raises:
        UserError: the baseline does not run, or no candidate does; a part of the test is too small; or the goal has a
            number of another kind of task, or of decoding where none is measured.
    """
    check_quality(goal, base.task)
    if not any(isinstance(prune, NoPrune) for prune in space.prunes.values()):
        raise UserError("prune: a search tries the formats without pruning first; add none, prune=none,structured")
    base = pin(base)
    check(base)
    check_decoding(goal, HEADS[base.task.problem, base.model.kind], base.task, base.bench.new_tokens)
    run = prepare(base)
    for ends in (*look_slices(len(run.splits.test)), CONFIRMED):  # one that is too small is refused before any look
        check_fit(replace(run, splits=replace(run.splits, test=sliced(run.splits.test, ends))))
    left_out: dict[str, str] = {}
    unpruned, probes = unpruned_of(run, space, goal, left_out), probes_of(run, space, goal, left_out)
    if not unpruned and not probes:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise UserError(f"no candidate runs here: {reasons or 'the baseline is none'}; give other choices")
    recovered = recovered_of(run, space, probes, left_out)
    rounded = rounded_of(run, space, unpruned, left_out)
    return Plan(unpruned, probes, left_out, len(run.splits.test), recovered, rounded)


def unpruned_of(run: Run, space: Space, goal: Goal, left_out: dict[str, str]) -> list[Candidate]:
    """Return every number format on every runtime that runs here, the cheapest products first; add the others to
    `left_out`."""
    base, found = run.components, []
    config = base.model.config(run.store)
    float_bytes = 4 * count_parameters(run.head, config)
    lacking: dict[tuple[str, str], list[str]] = {}
    for quant_name, quant in space.quants.items():
        for name in (runtime for runtime in space.runtimes if runtime in lowerings(quant)):
            lowered = lowering(quant, name, Lowering)
            runtime = space.runtimes[name]
            reason = without_decoding(runtime, config, goal)
            reason = reason or obstacle(run, replace(base, quant=quant, runtime=runtime))
            if reason is None and not lowered.applies_to:
                reason = too_large(float_bytes, goal)
            if reason is not None:
                lacking.setdefault((name, reason.removeprefix(f"quant={quant_name}: ")), []).append(quant_name)
            else:
                found.append(Candidate(quant_name, "none", name, lowered.compute_dtype))
    left_out |= {f"{', '.join(quants)} on {name}": reason for (name, reason), quants in lacking.items()}
    found.sort(key=lambda one: NARROWEST_FIRST.index(one.compute_dtype))
    return [one for one in found if one != BASELINE]


def probes_of(run: Run, space: Space, goal: Goal, left_out: dict[str, str]) -> list[Candidate]:
    """Return each pruning method in float32 on PyTorch; add those that do not run, or save nothing, to `left_out`."""
    base, found = run.components, []
    silent = without_decoding(base.runtime, base.model.config(run.store), goal)
    for name, prune in space.prunes.items():
        if isinstance(prune, NoPrune):
            continue
        saves_nothing = STORES_ZEROS if isinstance(prune, SparsePruner) else None
        if reason := silent or saves_nothing or obstacle(run, replace(base, prune=prune)):
            left_out[f"prune={name}"] = reason
        else:
            found.append(replace(BASELINE, prune=name))
    return found


def recovered_of(
    run: Run, space: Space, probes: list[Candidate], left_out: dict[str, str]
) -> dict[Candidate, Candidate]:
    """Return each probe whose pruning a recovery can follow, with that recovery; add the others to `left_out`."""
    found = {}
    for probe in probes:
        prune = space.prunes[probe.prune]
        if space.recovery is None or not isinstance(prune, PruneAndRecover) or prune.trains:
            continue
        recovering = prune.model_copy(update={"recovery": space.recovery})
        if reason := obstacle(run, replace(run.components, prune=recovering)):
            left_out[f"prune={probe.prune} + {RECOVERY}"] = reason
        else:
            found[probe] = replace(probe, settings=(f"finetune@prune.recovery={RECOVERY}",))
    return found


def rounded_of(
    run: Run, space: Space, unpruned: list[Candidate], left_out: dict[str, str]
) -> dict[Candidate, list[Candidate]]:
    """Return each candidate whose codes can be fitted to training examples, with each method that runs here."""
    found: dict[Candidate, list[Candidate]] = {}
    lacking: dict[tuple[Candidate, str], list[str]] = {}
    slow = run.head == "causal_lm" and run.device.kind == "cpu"
    for one in unpruned:
        quant = space.quants[one.quant]
        if space.recovery is None or not isinstance(quant, Grouped) or quant.rounding != "nearest":
            continue
        for method in CALIBRATED:
            fitted = quant.model_copy(update={"rounding": method})
            reason = obstacle(run, replace(run.components, quant=fitted, runtime=space.runtimes[one.runtime]))
            if reason is None and method == "learned" and slow:
                reason = HOURS
            if reason is not None:
                lacking.setdefault((one, reason), []).append(method)
            else:
                found.setdefault(one, []).append(replace(one, settings=(f"quant.rounding={method}",)))
    left_out |= {f"{one.name}, {', '.join(methods)}": reason for (one, reason), methods in lacking.items()}
    return found


def too_large(float_bytes: int, goal: Goal) -> str | None:
    """Return the reason why float32 weights of this size break a limit of the goal; None where they do not."""
    for bound in goal.bounds:
        if bound.objective in BYTES and bound.side == "max" and float_bytes > bound.limit:
            return f"its float32 weights take {float_bytes:,} bytes, and max_{bound.objective}={bound.limit:,.0f}"
    return None


def without_decoding(runtime: Runtime, config: "PretrainedConfig", goal: Goal) -> str | None:
    """Return the reason why a runtime cannot measure the decoding that the goal asks for; None where it can."""
    asked = next((name for name in goal.numbers if OBJECTIVES[name].of_decoding), None)
    if asked is None or (runtime.generates and takes_cache(config, runtime.file_format.name)):
        return None
    return f"runtime={runtime.name} does not write token by token with this model, so it has no {asked}"


def obstacle(run: Run, parts: Components) -> str | None:
    """Return the reason why a configuration does not run on this machine, or not in hardware; None where it does."""
    try:
        check(parts, in_sweep=True)
        check_fit(replace(run, components=parts))
    except UserError as error:
        return str(error)
    return None


def described(plan: Plan) -> list[str]:
    """Return the candidates and what is left out, in lines."""
    by_quant: dict[str, list[str]] = {}
    for one in plan.unpruned:
        by_quant.setdefault(one.quant, []).append(one.runtime)
    lines = [f"{len(plan.unpruned)} combinations of number format and runtime run here:"]
    lines += [f"  {quant:13} {', '.join(runtimes)}" for quant, runtimes in by_quant.items()]
    if plan.probes:
        lines += [f"pruning, each tried in float32 first: {', '.join(one.prune for one in plan.probes)}"]
    if plan.recovered:
        names = ", ".join(one.prune for one in plan.recovered)
        lines += [f"recovered by {RECOVERY}ation, those that break a limit: {names}"]
    if plan.rounded:
        names = ", ".join(dict.fromkeys(one.quant for one in plan.rounded))
        lines += [
            f"codes fitted to training examples ({', '.join(CALIBRATED)}), for those that nearly keep it: {names}"
        ]
    if plan.left_out:
        reasons = [f"{name}: {reason}" for name, reason in plan.left_out.items()]
        lines += [
            "left out:",
            *(fill(one, TEXT_WIDTH, initial_indent="  ", subsequent_indent="    ") for one in reasons),
        ]
    return lines
