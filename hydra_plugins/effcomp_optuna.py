"""hydra/sweeper=optuna: search the configurations for the Pareto front of quality and cost, with Optuna.

Hydra imports all of the namespace hydra_plugins at every start, so heavy libraries are imported where they are used.
(hydra-optuna-sweeper pins Optuna 2.)
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from effcomp.core.errors import UserError
from effcomp.core.packages import require
from effcomp.sweep.callback import SweepCallback
from effcomp.sweep.launching import LaunchingSweeper, record_of

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from optuna import Study
    from optuna.distributions import BaseDistribution

    from effcomp.report.objectives import Objective

log = logging.getLogger(__name__)

FRUITLESS = 20
"""Number of consecutive proposals measured before that end the search: the space has nothing new."""
Choices = tuple[str, ...]
"""Overrides of one configuration that vary between configurations."""


class ParetoSearch(LaunchingSweeper):
    """Sweeper that proposes configurations, learns from their records, and proposes better ones.

    Multi-objective tree-structured Parzen estimator (Ozaki et al. 2022, "Multiobjective Tree-Structured Parzen
    Estimator"). The same command and seed propose the same
    configurations as long as they are measured as before, so a search that was cut off replays from the store.
    """

    def __init__(
        self, trials: int, parallel: int, objectives: list[str], seed: int, params: dict[str, str] | None
    ) -> None:
        self.trials, self.parallel, self.seed, self.params = trials, parallel, seed, params or {}
        self.names = objectives

    def sweep(self, arguments: list[str]) -> None:
        assert self.config is not None, "Hydra calls setup first"
        for name, value, least in (("trials", self.trials, 1), ("parallel", self.parallel, 1), ("seed", self.seed, 0)):
            if not isinstance(value, int) or not least <= value < 2**32:
                raise HydraException(f"hydra.sweeper.{name}={value}: give a whole number of {least} or more")
        try:
            require("optuna", "hydra/sweeper=optuna")
        except UserError as error:
            raise HydraException(str(error)) from error
        self.objectives = chosen(self.names)
        fixed, swept = self.words(arguments)
        space = {override.get_key_element(): distribution(override) for override in swept}
        if not space:
            raise HydraException("hydra/sweeper=optuna has nothing to search: give choices, say quant=none,bf16,nf4")

        self.validate_batch_is_legal([(*fixed, *choices) for choices in samples(swept)])
        SweepCallback.begin(self.config, self.trials)
        self.search(fixed, space)

    def search(self, fixed: list[str], space: "dict[str, BaseDistribution]") -> None:
        """Propose and measure until the number of configurations is reached or nothing new is proposed."""
        from optuna.trial import TrialState

        assert self.launcher is not None, "Hydra calls setup first"
        study, known, fruitless = self.study(), dict[Choices, list[float] | None](), 0
        while len(known) < self.trials and fruitless < FRUITLESS:
            asked = [study.ask(space) for _ in range(min(self.parallel, self.trials - len(known)))]
            wanted = [tuple(f"{name}={value}" for name, value in trial.params.items()) for trial in asked]
            new = [choices for choices in dict.fromkeys(wanted) if choices not in known]
            fruitless = 0 if new else fruitless + 1
            if new:
                jobs = [(*fixed, *choices) for choices in new]
                self.validate_batch_is_legal(jobs)
                returned = self.launcher.launch(jobs, initial_job_idx=len(known))
                known |= zip(new, map(self.values, returned), strict=True)
            for trial, choices in zip(asked, wanted, strict=True):
                values = known[choices]
                study.tell(trial, values, state=TrialState.FAIL if values is None else TrialState.COMPLETE)
        log.info("measured %d configurations of %d proposals", len(known), len(study.trials))

    def study(self) -> "Study":
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        return optuna.create_study(
            directions=["maximize" if upwards(objective) else "minimize" for objective in self.objectives],
            sampler=optuna.samplers.TPESampler(seed=self.seed, constant_liar=self.parallel > 1),
        )

    def values(self, job: "JobReturn") -> list[float] | None:
        """Return the objectives of a job's record; None where it has none, or not all of them."""
        record = record_of(Path(job.return_value))
        if record is None:
            return None
        found = [(objective.speedup or objective.value)(record) for objective in self.objectives]
        return [interval.value for interval in found if interval is not None] if None not in found else None


def chosen(names: list[str]) -> "list[Objective]":
    from effcomp.report.objectives import OBJECTIVES

    if not isinstance(names, Sequence) or isinstance(names, str):
        raise HydraException(f"hydra.sweeper.objectives={names}: give a list, say [accuracy,latency_p50_ms]")
    if unknown := [name for name in names if name not in OBJECTIVES]:
        raise HydraException(f"hydra.sweeper.objectives={unknown[0]}: choose of {', '.join(OBJECTIVES)}")
    if not names:
        raise HydraException("hydra.sweeper.objectives=[]: name one or more")
    return [OBJECTIVES[name] for name in names]


def upwards(objective: "Objective") -> bool:
    """Tell whether higher is better for Optuna's value.

    Times are given as paired speed-ups, which vary less between processes; those of cuda_graphs at batch size 1 do not.
    """
    return objective.speedup is not None or objective.direction == "maximize"


def samples(swept: list[Override]) -> list[Choices]:
    """Return the fewest configurations that together have every choice and an end of every interval."""
    values = {}
    for override in swept:
        value = override.value()
        drawn = [value.start] if isinstance(value, IntervalSweep) else list(override.sweep_string_iterator())
        values[override.get_key_element()] = drawn
    count = max(map(len, values.values()))
    return [tuple(f"{name}={of[number % len(of)]}" for name, of in values.items()) for number in range(count)]


def distribution(override: Override) -> "BaseDistribution":
    """Return Optuna's distribution for `a,b,c`, `choice(...)`, `range(...)` and `interval(...)`, `tag(log,
    interval(...))`.

    Raises:
        HydraException: another kind of sweep.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value = override.value()
    if isinstance(value, IntervalSweep) and value.start is not None and value.end is not None:
        log_scale = "log" in value.tags
        if not value.start <= value.end or (log_scale and value.start <= 0):
            more = " above 0" if log_scale else ""
            raise HydraException(f"{override.input_line}: give the smaller end first{more}")
        if isinstance(value.start, int) and isinstance(value.end, int):
            return IntDistribution(value.start, value.end, log=log_scale)
        return FloatDistribution(value.start, value.end, log=log_scale)
    if isinstance(value, RangeSweep) or override.is_choice_sweep():
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    raise HydraException(f"{override.input_line}: hydra/sweeper=optuna takes a,b,c, range(a,b) or interval(a,b)")
