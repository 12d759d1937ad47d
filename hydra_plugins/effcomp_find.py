"""hydra/sweeper=find: search for the configuration that answers a goal, and confirm it on examples kept apart.

`effcomp find` is this sweeper with shorter words. Hydra imports all of the namespace hydra_plugins at every start, so
the search is imported where it begins.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from effcomp.core.command_line import refusing
from effcomp.core.errors import FAILED, UserError
from effcomp.sweep.callback import SweepCallback
from effcomp.sweep.folder import OUTCOME_FILE, model_id
from effcomp.sweep.launching import LaunchingSweeper, record_of
from effcomp.sweep.lifecycle import PrintedAnswer

if TYPE_CHECKING:
    from effcomp.find.plan import Candidate, Space
    from effcomp.find.search import Trial
    from effcomp.pipeline.compose import Components
    from effcomp.record import Record

SEARCHED = ("quant", "prune", "runtime")
"""Groups whose choices are searched: those that are typed, or else all."""
EFFORTS = ("compress", "train")


OF_CONFIRMATIONS = ("bench=", "bench.pairs=", "bench.precision=")
"""Beginnings of words that are for the confirmations alone."""


class Find(LaunchingSweeper):
    """Sweeper that looks at candidates, drops those that cannot win, and confirms the finalists."""

    def __init__(
        self,
        goal: str,
        budget_minutes: float | None,
        effort: str,
        dry_run: bool,
        params: dict[str, str] | None,
    ) -> None:
        self.goal, self.budget_minutes, self.effort = goal, budget_minutes, effort
        self.dry_run, self.params, self.launched = dry_run, params or {}, 0
        self.folders: dict[Candidate, Path] = {}
        """Folder of the last run of each candidate."""

    def sweep(self, arguments: list[str]) -> None:
        """Plan; without `dry_run` search too, and leave the answer to the end of the sweep."""
        with refusing():
            self.find(arguments)

    def find(self, arguments: list[str]) -> None:
        """Plan, search, answer.

        Raises:
            UserError: a word is wrong, or nothing can be searched.
        """
        from effcomp.find.answer import EXIT_CODES, WinnersRun, answer, as_json, in_words
        from effcomp.find.expected import expected
        from effcomp.find.figure import search_figure
        from effcomp.find.plan import BASELINE, described, make_plan, scenarios
        from effcomp.find.promises import beyond_the_test
        from effcomp.find.search import FINALISTS, Search
        from effcomp.report.choose.goal import parse_goal

        assert self.config is not None, "Hydra calls setup first"
        goal = parse_goal(str(self.goal).split(), "hydra.sweeper.goal:")
        seconds = seconds_of(self.budget_minutes)
        if self.effort not in EFFORTS:
            raise UserError(f"hydra.sweeper.effort={self.effort}: choose of {', '.join(EFFORTS)}")
        fixed, names = self.chosen(*self.words(arguments))
        if (needed := scenarios(goal)) and not any(word.startswith("bench.scenarios=") for word in fixed):
            fixed.append(f"bench.scenarios=[{','.join(needed)}]")
        base = self.components(fixed, *BASELINE.overrides)
        plan = make_plan(base, self.space(fixed, names), goal)
        finalists = FINALISTS[len(goal.objectives)]
        doubts = beyond_the_test(goal, plan.test_examples, finalists)
        said = "\n".join([f"goal: {goal.text}", *doubts, *described(plan), *expected(plan, base, finalists)])
        if self.dry_run:
            print(said)
            sys.exit(0)
        print(said, file=sys.stderr)
        most = plan.looks_at_most(finalists) + finalists
        SweepCallback.begin(self.config, most, f"find {goal.text}", FAILED)
        found = Search(goal, lambda trial: self.measure(fixed, trial), seconds).run(plan)
        if not found.looks:
            SweepCallback.finish()  # it says that no configuration came through
            sys.exit(FAILED)
        one = answer(goal, found)
        folders = [self.folders[winner] for winner in one.winners]
        runs = [
            WinnersRun(found.finals[winner], folder, model_id(folder))
            for winner, folder in zip(one.winners, folders, strict=True)
        ]
        SweepCallback.answer = PrintedAnswer(
            in_words(one, runs),
            as_json(one, goal, plan, found, runs),
            EXIT_CODES[one.verdict],
            search_figure(goal, found, one.winners),
        )

    def chosen(self, fixed: list[str], swept: list[Override]) -> tuple[list[str], dict[str, list[str]]]:
        """Return the overrides of all trials, and the names of the choices to search in each group.

        Raises:
            UserError: the command sweeps over something else, or sets what the search sets.
        """
        from effcomp.pipeline.settings import choice_names

        names = {group: choice_names(group) for group in SEARCHED}
        for override in swept:
            group = override.get_key_element()
            if group not in SEARCHED:
                raise UserError(f"{override.input_line}: a search has choices of {', '.join(SEARCHED)}; give one value")
            names[group] = list(override.sweep_string_iterator())
        shared = []
        for word in fixed:
            key, _, value = word.partition("=")
            if key == "test_slice":
                raise UserError(f"{word}: a search cuts the test itself; leave it out")
            if key in SEARCHED:
                names[key] = [value]
            else:
                shared.append(word)
        return shared, names

    def components(self, fixed: list[str], *overrides: str) -> "Components":
        """Compose a configuration and build its components."""
        from effcomp.pipeline.compose import build

        assert self.hydra_context is not None and self.config is not None, "Hydra calls setup first"
        words = [*fitting(fixed, overrides), *overrides]
        composed = self.hydra_context.config_loader.load_sweep_config(self.config, words)
        groups = [str(name) for name in composed if name != "hydra"]
        return build(OmegaConf.masked_copy(composed, groups), in_product=True)

    def space(self, fixed: list[str], names: dict[str, list[str]]) -> "Space":
        """Build the components of each group to choose from."""
        from effcomp.find.plan import BASELINE, RECOVERY, Space

        def component(group: str, name: str) -> Any:
            others = [word for word in BASELINE.overrides if not word.startswith(f"{group}=")]
            return getattr(self.components(fixed, *others, f"{group}={name}"), group)

        quants, prunes, runtimes = ({name: component(group, name) for name in names[group]} for group in SEARCHED)
        recovery = component("finetune", RECOVERY) if self.effort == "train" else None
        return Space(quants, prunes, runtimes, recovery)

    def measure(self, fixed: list[str], trial: "Trial") -> "Record | str":
        """Run a trial through the launcher, as any configuration of a sweep; return its record, or why it has none."""
        from effcomp.find.search import LOOK_BENCH

        assert self.launcher is not None, "Hydra calls setup first"
        shared = fixed if trial.final else [word for word in fixed if not word.startswith(OF_CONFIRMATIONS)]
        bench = () if trial.final else (f"bench={LOOK_BENCH}",)
        overrides = trial.candidate.overrides
        job = (*fitting(shared, overrides), *bench, *overrides, trial.test_slice)
        (returned,) = self.launcher.launch([job], initial_job_idx=self.launched)
        self.launched += 1
        folder = self.folders[trial.candidate] = Path(returned.return_value)
        return record_of(folder) or str(json.loads((folder / OUTCOME_FILE).read_text())["reason"])


def fitting(words: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Return the words without the settings of choices other than these."""
    having = {word: choices_having(word) for word in words}
    return [word for word, choices in having.items() if not choices or choices & set(overrides)]


def choices_having(word: str) -> set[str]:
    """Return the choices of a searched group that have the setting of a word, `quant=int4`; none for any other word."""
    from effcomp.pipeline.settings import find_settings

    key = word.partition("=")[0].lstrip("+")
    return {choice for choice, _ in find_settings(key)} if key.partition(".")[0] in SEARCHED else set()


def seconds_of(budget_minutes: float | None) -> float | None:
    """Return the time of the search in seconds.

    Raises:
        UserError: it is no positive number.
    """
    if budget_minutes is None:
        return None
    if isinstance(budget_minutes, bool) or not isinstance(budget_minutes, int | float) or budget_minutes <= 0:
        raise UserError(f"hydra.sweeper.budget_minutes={budget_minutes}: give a number of minutes above 0, or null")
    return 60.0 * budget_minutes
