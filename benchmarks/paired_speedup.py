"""Does the interval of a speed-up hold the truth, on a machine that has other work?

    python benchmarks/paired_speedup.py          (after `make demo`; about ten minutes on 2 cores)

The float32 baseline of the demo is measured against itself in TRIES fresh pairs of processes, while another process
takes a core at random moments. A slow-down of exactly 1.3 is made of the same model: 13 calls on one side stand against
10 on the other. The interval must hold the truth (1.0 and 1.3) in 19 of 20 tries. Writes paired_speedup.json.
"""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from same_model_twice import baseline

from effcomp.core import machine
from effcomp.core.device import Device
from effcomp.core.statistics import ratio_interval
from effcomp.measure.client import Side, Worker
from effcomp.measure.pair import Pair
from effcomp.quant.floats import Float
from effcomp.runtimes.torch import Torch

ROOT = Path(__file__).resolve().parent.parent
TRIES, TURNS, CALLS = 20, 15, 10
SLOWDOWN = 1.3
LOAD = """
import os, random, time
parent = os.getppid()
while os.getppid() == parent:
    end = time.time() + random.uniform(0, 0.4)
    while time.time() < end: pass
    time.sleep(random.uniform(0, 0.4))
"""


def milliseconds(worker: Worker, batch: list[int], calls: int) -> float:
    return float(sum(worker.ask("turn", batches=[batch] * calls)["ns"])) / 1e6


def one_try(side: Side, tokens: Path, device: Device, seed: int) -> dict[str, dict[str, float]]:
    """The intervals of one fresh pair: of a model against itself, and against itself slowed down."""
    generator = np.random.default_rng(seed)
    times: dict[str, tuple[list[float], list[float]]] = {"1.0": ([], []), str(SLOWDOWN): ([], [])}
    with Pair((side, side), (tokens, tokens), device) as pair:
        workers = (pair.baseline, pair.variant)
        for turn in range(-2, TURNS):
            for name, found in times.items():
                batch = generator.integers(0, len(pair.timed[0]), 1).tolist()
                calls = (round(CALLS * float(name)), CALLS)
                for i in (0, 1) if turn % 2 == 0 else (1, 0):
                    value = milliseconds(workers[i], batch, calls[i])
                    if turn >= 0:  # two turns of warm-up
                        found[i].append(value)
    intervals = {name: ratio_interval(*(np.array(side)[:, None] for side in found)) for name, found in times.items()}
    return {name: interval.model_dump() for name, interval in intervals.items()}


def main() -> None:
    device = Device(name="cpu", kind="cpu", threads=None).resolved()
    tokens = next((ROOT / "multirun/store/tokens").glob("*/tokens.safetensors"))
    side, tries = Side(baseline(), Torch(name="torch"), Float(name="none", dtype="float32")), []
    with subprocess.Popen([sys.executable, "-c", LOAD]) as load:
        try:
            for seed in range(TRIES):
                tries.append(one_try(side, tokens, device, seed))
                print(seed, tries[-1], file=sys.stderr, flush=True)
        finally:
            load.kill()
    held = {
        name: sum(found[name]["low"] <= float(name) <= found[name]["high"] for found in tries)
        for name in ("1.0", str(SLOWDOWN))
    }
    result = {
        "command": "python benchmarks/paired_speedup.py",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": machine.device_name(device),
        "libraries": machine.library_versions(),
        "load": "another process takes a core for 0 to 0.4 s and sleeps for 0 to 0.4 s, in turn",
        "tries": TRIES,
        "held_the_truth_by_slowdown": held,
        "intervals": tries,
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(held))


if __name__ == "__main__":
    main()
