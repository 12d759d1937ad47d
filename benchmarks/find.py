"""Does `effcomp find` name the answer of the full product, in how much of its time, and does the answer hold?

    python benchmarks/find.py NAME SEEDS MINUTES "GOAL" OVERRIDES...
    python benchmarks/find.py minilm 5 60 "minimize=latency_p50_ms max_accuracy_drop=0.5" task=rotten_tomatoes

For each seed, all with the same trained model: the full product of quant, prune and runtime (those of the overrides,
else all) on the whole test, whose recommendation is the reference; `effcomp find` in a store of its own; Optuna's
sampler and random configurations for as many rows of the product as the seconds of find pay for, read from the
product's rows and drawn DRAWS times. The product and each draw recommend as `--recommend` does, corrected for the
number of their rows; the baseline is no answer, as for find. Each answer is judged by the product's rows: its objective
over the reference's, and the limits by the middles of that row, which find has not measured.

The full product takes hours on two cores. After MINUTES the command ends with exit code 75; the same command goes on
where it was, from the stores in multirun/find/NAME. Its times are sums over measured rows, so that interruptions do
not count. Writes one entry a seed to benchmarks/find/NAME.json; seeds that it has are not measured again.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna

from effcomp.core import machine
from effcomp.core.device import Device
from effcomp.core.store import Store
from effcomp.pipeline.settings import choice_names
from effcomp.record import Record
from effcomp.record.quantity import exact
from effcomp.record.result import SERIES_FILE, stored_results
from effcomp.report.choose.goal import Goal, parse_goal
from effcomp.report.choose.recommend import compared, recommend
from effcomp.report.objectives import OBJECTIVES, comparable
from effcomp.report.rows import rows

ROOT = Path(__file__).resolve().parent.parent
SEARCHED = ("quant", "prune", "runtime")
DRAWS = 50
"""Number of searches by Optuna's sampler, and of random ones."""
CLOSE = 1.05
"""Factor by which an answer may be worse than the reference and still counts as close."""
LATER = 75
"""Exit code where the time is over (EX_TEMPFAIL)."""
Choice = tuple[str, ...]
"""Choices of SEARCHED."""


@dataclass(frozen=True)
class Folder:
    """Working folder of sweeps, with a store of its own."""

    path: Path
    ends: float
    """Time at which the command ends, on the monotonic clock."""

    def sweep(self, *words: str) -> list[Record]:
        """Run a sweep and return its records; rows of the store are not measured again.

        Raises:
            SystemExit: the time is over, or the sweep left no record.
        """
        command = [sys.executable, "-m", "effcomp.run", "-m", "tracking=none", *words]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, cwd=self.path, env=environment, stdout=subprocess.PIPE, text=True) as running:
            try:
                said, _ = running.communicate(timeout=max(0.0, self.ends - time.monotonic()))
            except subprocess.TimeoutExpired:
                running.terminate()
                running.communicate()
                print("the time is over: the same command goes on here", file=sys.stderr)
                sys.exit(LATER)
        if not said:
            sys.exit(f"{' '.join(words)} left no record (exit code {running.returncode})")
        return [Record.from_json(line) for line in said.splitlines()]

    def last(self) -> Path:
        """Return the folder of the last sweep."""
        return max(self.path.glob("multirun/2*/*"), key=lambda one: one.stat().st_mtime)

    def seconds(self) -> dict[str, float]:
        """Return the time of each measured row, by its key in the store."""
        found = {}
        for folder, _ in stored_results(Store(self.path / "multirun/store").root):
            series = json.loads((folder / SERIES_FILE).read_text())
            found[folder.name] = (series["ended_ms"] - series["started_ms"]) / 1e3
        return found


def choice(record: Record) -> Choice:
    return tuple(record.choices[group] for group in SEARCHED)


def best(records: list[Record], goal: Goal) -> Choice | None:
    """Return the recommended configuration of some rows; None where none but the baseline keeps the limits."""
    named = rows([record for record in records if not record.is_baseline])
    if not named:
        return None
    winners = recommend(named, goal, compared(named, goal)).winners
    return choice(winners[0]) if winners else None


def objective_of(product: list[Record], goal: Goal) -> dict[Choice, float]:
    """Return the objective of each row of the product, comparable between them."""
    found = comparable(OBJECTIVES[goal.objectives[0]], product)
    return {choice(record): one.value for record, one in zip(product, found, strict=True) if one is not None}


def relative(answer: Choice | None, reference: Choice | None, values: dict[Choice, float], goal: Goal) -> float | None:
    """Return the factor by which an answer is worse than the reference: 1 for the same; None where one is missing."""
    if answer is None or reference is None:
        return None
    factor = values[answer] / values[reference]
    return factor if OBJECTIVES[goal.objectives[0]].direction == "minimize" else 1 / factor


def kept(record: Record, goal: Goal) -> bool:
    """Return True if the middles of a record are within the limits."""
    evidence = [loss.evidence(record) for loss in goal.losses]
    bounds = [(bound, OBJECTIVES[bound.objective].value(record)) for bound in goal.bounds]
    within = [value is not None and not bound.beyond(exact(value.value)) for bound, value in bounds]
    return all([*within, *(one is not None and one.loss.value <= one.limit for one in evidence)])


def drawn_by_optuna(product: list[Record], goal: Goal, count: int, seed: int) -> list[Record]:
    """Return so many rows of the product as Optuna's sampler asks for them: it learns of each the accuracy difference
    and the objective; of a combination that did not run, that it failed."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    objectives = [OBJECTIVES["accuracy_difference"], OBJECTIVES[goal.objectives[0]]]
    columns = [comparable(one, product) for one in objectives]
    measured = {choice(record): values for record, *values in zip(product, *columns, strict=True)}
    by_choice, found = {choice(record): record for record in product}, dict[Choice, Record]()
    study = optuna.create_study(
        directions=[one.direction for one in objectives], sampler=optuna.samplers.TPESampler(seed=seed)
    )
    names = {group: sorted({one[index] for one in by_choice}) for index, group in enumerate(SEARCHED)}
    while len(found) < min(count, len(by_choice)):
        trial = study.ask()
        asked = tuple(trial.suggest_categorical(group, names[group]) for group in SEARCHED)
        values = [one.value for one in measured.get(asked, ()) if one is not None]
        if len(values) == len(objectives):
            found[asked] = by_choice[asked]
            study.tell(trial, values)
        else:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
    return list(found.values())


def one_seed(seed: int, goal: Goal, overrides: list[str], scratch: Path, ends: float) -> dict[str, Any]:
    """Measure one seed."""
    typed = {word.partition("=")[0] for word in overrides}
    space = [f"{group}={','.join(choice_names(group))}" for group in SEARCHED if group not in typed]
    trained, everything, searching = (Folder(scratch / f"{name}_{seed}", ends) for name in ("train", "product", "find"))
    trained.path.mkdir(parents=True, exist_ok=True)
    shared = [word for word in overrides if word.partition("=")[0] not in SEARCHED]
    trained.sweep(*shared, f"seed={seed}", "quant=none", "bench=quick")  # trains, and measures the machine's rates
    for one in (everything, searching):
        if not one.path.exists():
            shutil.copytree(trained.path, one.path.with_suffix(".part"), dirs_exist_ok=True)
            one.path.with_suffix(".part").rename(one.path)

    product = everything.sweep(*overrides, *space, f"seed={seed}")
    values, reference = objective_of(product, goal), best(product, goal)
    searching.sweep("hydra/sweeper=find", f'hydra.sweeper.goal="{goal.text}"', *overrides, f"seed={seed}")
    said = json.loads((searching.last() / "results/answer.json").read_text())
    answer = tuple(word.partition("=")[2] for word in said["winners"][0]["overrides"]) if said["winners"] else None
    judged = next((record for record in product if choice(record) == answer), None)
    before = trained.seconds()
    product_s, find_s = (
        sum(seconds for key, seconds in one.seconds().items() if key not in before) for one in (everything, searching)
    )

    count = max(1, min(len(product), int(find_s / product_s * len(product))))

    def close(one: Choice | None) -> bool:
        factor = relative(one, reference, values, goal)
        return factor <= CLOSE if factor is not None else one == reference

    generator = random.Random(seed)
    by_chance = [best(generator.sample(product, count), goal) for _ in range(DRAWS)]
    by_optuna = [best(drawn_by_optuna(product, goal, count, DRAWS * seed + draw), goal) for draw in range(DRAWS)]
    return {
        "seed": seed,
        "product": {"rows": len(product), "seconds": round(product_s, 1), "answer": reference},
        "find": {
            "rows": said["measured"],
            "seconds": round(find_s, 1),
            "share_of_time": round(find_s / product_s, 3),
            "verdict": said["verdict"],
            "answer": answer,
            "worse_by": relative(answer, reference, values, goal),
            "close": close(answer),
            "kept_in_the_product": None if judged is None else kept(judged, goal),
        },
        "optuna": {"rows": count, "close": sum(map(close, by_optuna)) / DRAWS},
        "random": {"rows": count, "close": sum(map(close, by_chance)) / DRAWS},
    }


def summary(seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what was to be shown: the time of find, its answers that are close, and those of the others."""
    return {
        "seeds": len(seeds),
        "largest_share_of_time": max(one["find"]["share_of_time"] for one in seeds),
        "find_close": sum(one["find"]["close"] for one in seeds),
        "optuna_close": round(sum(one["optuna"]["close"] for one in seeds), 2),
        "random_close": round(sum(one["random"]["close"] for one in seeds), 2),
        "limits_broken_in_the_product": sum(one["find"]["kept_in_the_product"] is False for one in seeds),
    }


def main() -> None:
    name, seeds, minutes, goal_text, *overrides = sys.argv[1:]
    ends = time.monotonic() + 60 * float(minutes)
    goal = parse_goal(goal_text.split(), "GOAL")
    file = ROOT / "benchmarks/find" / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    entry: dict[str, Any] = {
        "command": f'python benchmarks/find.py {name} {seeds} {minutes} "{goal.text}" {" ".join(overrides)}',
        "device": machine.device_name(Device(name="cpu", kind="cpu", threads=None)),
        "date": datetime.now(UTC).date().isoformat(),
        "commit": machine.git_commit(),
        "goal": goal.text,
        "overrides": overrides,
        "seeds": [],
    }
    if file.exists():
        before = json.loads(file.read_text())
        if before["goal"] != goal.text or before["overrides"] != overrides:
            sys.exit(f"{file} answers {before['goal']} {' '.join(before['overrides'])}: give another name")
        entry["seeds"] = before["seeds"]
    for seed in range(len(entry["seeds"]), int(seeds)):
        entry["seeds"].append(one_seed(seed, goal, overrides, Path("multirun/find").absolute() / name, ends))
        entry["summary"] = summary(entry["seeds"])
        file.write_text(json.dumps(entry, indent=1) + "\n")
        print(json.dumps(entry["seeds"][-1], indent=1))
    print(json.dumps(summary(entry["seeds"]), indent=1))


if __name__ == "__main__":
    main()
