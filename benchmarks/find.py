"""Does `effcomp find` name the answer of the full product, in how much of its time, and does the answer hold?

    python benchmarks/find.py NAME SEEDS "GOAL" OVERRIDES...
    python benchmarks/find.py minilm 5 "minimize=latency_p50_ms max_accuracy_drop=0.5" model=minilm task=rotten_tomatoes

For each seed, all with the same trained model: the full product of quant, prune and runtime (those of the overrides,
else all) on the whole test, whose recommendation is the reference; `effcomp find` in a store of its own; Optuna's
sampler and random configurations for as many rows of the product as the seconds of find pay for. Optuna's rows, and the
random ones, are those of the product, read from its store; of random searches the share that is close is kept. Each
answer is judged by the product's rows: its objective over the reference's. What find confirmed on the second half of
the test is held against the limits by its middle.

Writes one entry a seed to benchmarks/find/NAME.json. The full product takes hours on two cores.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from effcomp.core import machine
from effcomp.core.device import Device
from effcomp.pipeline.settings import choice_names
from effcomp.record import Record
from effcomp.report.choose.goal import Goal, parse_goal
from effcomp.report.choose.recommend import recommend
from effcomp.report.objectives import OBJECTIVES, comparable
from effcomp.report.rows import rows

ROOT = Path(__file__).resolve().parent.parent
SEARCHED = ("quant", "prune", "runtime")
DRAWS = 200
"""Number of random searches."""
CLOSE = 1.05
"""Factor by which an answer may be worse than the reference and still counts as close."""
Choice = tuple[str, ...]
"""Choices of SEARCHED."""


@dataclass(frozen=True)
class Ran:
    records: list[Record]
    seconds: float
    folder: Path


def sweep(folder: Path, *words: str) -> Ran:
    """Run a sweep in a folder; return its records and its seconds."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "effcomp.run", "-m", "tracking=none", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - start
    if not done.stdout:
        sys.exit(f"{' '.join(words)} left no record (exit code {done.returncode})")
    last = max(folder.glob("multirun/2*/*"), key=lambda one: one.stat().st_mtime)
    return Ran([Record.from_json(line) for line in done.stdout.splitlines()], seconds, last)


def choice(record: Record) -> Choice:
    return tuple(record.choices[group] for group in SEARCHED)


def best(records: list[Record], goal: Goal) -> Choice | None:
    """Return the recommended configuration of some rows; None where none keeps the limits."""
    winner = recommend(rows(records), goal).winner
    return None if winner is None else choice(winner)


def objective_of(product: list[Record], goal: Goal) -> dict[Choice, float]:
    """Return the objective of each row of the product, comparable between them."""
    found = comparable(OBJECTIVES[goal.objective], product)
    return {choice(record): one.value for record, one in zip(product, found, strict=True) if one is not None}


def relative(answer: Choice | None, reference: Choice | None, values: dict[Choice, float], goal: Goal) -> float | None:
    """Return the factor by which an answer is worse than the reference: 1 for the same; None where one is missing."""
    if answer is None or reference is None:
        return None
    factor = values[answer] / values[reference]
    return factor if OBJECTIVES[goal.objective].direction == "minimize" else 1 / factor


def kept(record: Record, goal: Goal) -> bool:
    """Return True if the middles of the losses of a record are within the limits."""
    evidence = [loss.evidence(record) for loss in goal.losses]
    return all(one is not None and one.loss.value <= one.limit for one in evidence)


def one_seed(seed: int, goal: Goal, overrides: list[str], scratch: Path) -> dict[str, Any]:
    """Measure one seed."""
    typed = {word.partition("=")[0] for word in overrides}
    space = [f"{group}={','.join(choice_names(group))}" for group in SEARCHED if group not in typed]
    everything, searching = scratch / f"product_{seed}", scratch / f"find_{seed}"
    everything.mkdir()
    shared = [word for word in overrides if word.partition("=")[0] not in SEARCHED]
    sweep(everything, *shared, f"seed={seed}", "quant=none", "bench=quick")  # trains, and measures the machine's rates
    shutil.copytree(everything, searching)

    product = sweep(everything, *overrides, *space, f"seed={seed}")
    values, reference = objective_of(product.records, goal), best(product.records, goal)
    find = sweep(searching, "hydra/sweeper=find", f'hydra.sweeper.goal="{goal.text}"', *overrides, f"seed={seed}")
    said = json.loads((find.folder / "results/answer.json").read_text())
    answer = tuple(word.partition("=")[2] for word in said["winner"]) if said["winner"] else None
    confirmed = [record for record in find.records if choice(record) == answer][-1:]

    count = max(1, min(len(product.records), int(find.seconds / product.seconds * len(product.records))))
    objectives = f"hydra.sweeper.objectives=[accuracy_difference,{goal.objective}]"
    sampler = ("hydra/sweeper=optuna", f"hydra.sweeper.trials={count}", objectives)
    optuna = best(sweep(everything, *sampler, *overrides, *space, f"seed={seed}").records, goal)

    def close(one: Choice | None) -> bool:
        factor = relative(one, reference, values, goal)
        return factor <= CLOSE if factor is not None else one == reference

    generator = random.Random(seed)
    drawn = [best(generator.sample(product.records, count), goal) for _ in range(DRAWS)]
    return {
        "seed": seed,
        "product": {"rows": len(product.records), "seconds": round(product.seconds, 1), "answer": reference},
        "find": {
            "rows": said["measured"],
            "seconds": round(find.seconds, 1),
            "share_of_time": round(find.seconds / product.seconds, 3),
            "answer": answer,
            "worse_by": relative(answer, reference, values, goal),
            "kept_on_the_second_half": all(kept(record, goal) for record in confirmed) if confirmed else None,
        },
        "optuna": {"rows": count, "answer": optuna, "worse_by": relative(optuna, reference, values, goal)},
        "random": {"rows": count, "close": sum(map(close, drawn)) / DRAWS},
    }


def main() -> None:
    name, seeds, goal_text, *overrides = sys.argv[1:]
    goal = parse_goal(goal_text.split(), "GOAL")
    file = ROOT / "benchmarks/find" / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    entry: dict[str, Any] = {
        "command": f'python benchmarks/find.py {name} {seeds} "{goal.text}" {" ".join(overrides)}',
        "device": machine.device_name(Device(name="cpu", kind="cpu", threads=None)),
        "date": datetime.now(UTC).date().isoformat(),
        "commit": machine.git_commit(),
        "seeds": [],
    }
    with tempfile.TemporaryDirectory(prefix="effcomp-find-") as scratch:
        for seed in range(int(seeds)):
            entry["seeds"].append(one_seed(seed, goal, overrides, Path(scratch)))
            file.write_text(json.dumps(entry, indent=1) + "\n")
            print(json.dumps(entry["seeds"][-1], indent=1))


if __name__ == "__main__":
    main()
