"""Plan of a search: the candidates that this machine runs, and what is left out, with the reason."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from effcomp.core.errors import UserError
from effcomp.core.processors import ComputeDtype
from effcomp.pipeline.checks import check, check_fit
from effcomp.pipeline.compose import Components
from effcomp.pipeline.prepare import Run, prepare
from effcomp.prune.base import NoPrune, Prune
from effcomp.prune.sparse import SparsePruner
from effcomp.quant.base import Quant
from effcomp.quant.lowering import Lowering, lowering, lowerings
from effcomp.runtimes.base import Runtime

NARROWEST_FIRST: tuple[ComputeDtype, ...] = ("int8", "float8", "float16", "bfloat16", "float32")
"""Order of the looks: the formats with the cheapest products first, so that their times show which others are too
slow."""
STORES_ZEROS = "it stores its zeros, and dense kernels multiply them: no bytes and no time are saved"


@dataclass(frozen=True)
class Candidate:
    """A configuration of the search, by the names of its choices."""

    quant: str
    prune: str
    runtime: str
    compute_dtype: ComputeDtype
    """Type that its products are computed in."""

    @property
    def overrides(self) -> tuple[str, ...]:
        return f"quant={self.quant}", f"prune={self.prune}", f"runtime={self.runtime}"

    @property
    def name(self) -> str:
        pruned = "" if self.prune == "none" else f" + {self.prune}"
        return f"{self.quant}{pruned} on {self.runtime}"


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

    def pruned(self, probe: Candidate, pairs: list[Candidate]) -> list[Candidate]:
        """Return the candidates that combine a probe's pruning with these pairs of format and runtime."""
        combined = [replace(pair, prune=probe.prune) for pair in pairs]
        return [one for one in combined if one != probe]


@dataclass(frozen=True)
class Space:
    """Components to choose from, by the names of their choices."""

    quants: Mapping[str, Quant]
    prunes: Mapping[str, Prune]
    runtimes: Mapping[str, Runtime]


def make_plan(base: Components, space: Space) -> Plan:
    """List the candidates that run on this machine. Nothing is measured or written.

    The baseline itself (float32 in eager PyTorch, not pruned) is no candidate: every candidate is compared with it.

    Args:
        base: the baseline's components, with the settings that all candidates share.

    Raises:
        UserError: the baseline does not run, or no candidate does.
    """
    check(base)
    run = prepare(base)
    left_out: dict[str, str] = {}
    lacking: dict[tuple[str, str], list[str]] = {}
    pairs = []
    for quant_name, quant in space.quants.items():
        for name, runtime in space.runtimes.items():
            if name not in lowerings(quant):
                continue
            if reason := obstacle(run, replace(base, quant=quant, runtime=runtime)):
                lacking.setdefault((name, reason.removeprefix(f"quant={quant_name}: ")), []).append(quant_name)
            else:
                pairs.append(Candidate(quant_name, "none", name, lowering(quant, name, Lowering).compute_dtype))
    left_out |= {f"{', '.join(quants)} on {name}": reason for (name, reason), quants in lacking.items()}
    pairs.sort(key=lambda one: NARROWEST_FIRST.index(one.compute_dtype))
    probes = []
    for name, prune in space.prunes.items():
        if not isinstance(prune, NoPrune):
            saves_nothing = STORES_ZEROS if isinstance(prune, SparsePruner) else None
            reason = saves_nothing or obstacle(run, replace(base, prune=prune))
            if reason is None:
                probes.append(Candidate("none", name, "torch", "float32"))
            else:
                left_out[f"prune={name}"] = reason
    baseline = Candidate("none", "none", "torch", "float32")
    if not any(isinstance(prune, NoPrune) for prune in space.prunes.values()):
        raise UserError("prune: a search tries the formats without pruning first; add none, prune=none,structured")
    pairs = [one for one in pairs if one != baseline]
    if not pairs and not probes:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise UserError(f"no candidate runs here: {reasons or 'the baseline is none'}; give other choices")
    return Plan(pairs, probes, left_out, len(run.splits.test))


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
    lines = [f"{len(plan.unpruned)} pairs of number format and runtime run here:"]
    lines += [f"  {quant:13} {', '.join(runtimes)}" for quant, runtimes in by_quant.items()]
    if plan.probes:
        lines += [f"pruning, each tried in float32 first: {', '.join(one.prune for one in plan.probes)}"]
    if plan.left_out:
        lines += ["left out:", *(f"  {name}: {reason}" for name, reason in plan.left_out.items())]
    return lines
