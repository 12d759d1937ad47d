"""Measured again, does the new value lie in the interval of the first measurement?

    python benchmarks/replication.py                                 (some five hours; best on a quiet machine)
    python benchmarks/replication.py bench=quick                     (three quarters of an hour)
    python benchmarks/replication.py --neighbour bench=quick         (beside a process that uses half a core)
    python benchmarks/replication.py --device cuda --times 6 bench=quick           (an NVIDIA GPU; twenty minutes)
    python benchmarks/replication.py --configurations 8 bench=quick task.test_size=200    (three quarters of an hour)
    python benchmarks/replication.py --times 2 --configurations 2 bench=quick      (a trial)

First it measures a configuration of each runtime with three pairs, so that the store knows how much pairs deviate on
this machine. Then it measures CONFIGURATIONS over three runtimes in rounds: each round measures every configuration
once, so that repeats of one lie as far apart as the rounds take, or --pause minutes more. Each measurement is appended
to a file in multirun/ at once; the same command goes on from there. Further words are overrides of effcomp. When all
rounds are measured it writes them to replication.json beside this file, under cpu, cpu_neighbour or cuda: for each
number and configuration, the share of later values that lie in the first interval, and that of quiet ones in a quiet
first interval; for each batch size the deviation of the baseline between all these measurements.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from busy_neighbour import HALF_A_CORE

import effcomp
from effcomp.core.interval import Interval
from effcomp.pipeline.between import between_repeats
from effcomp.record import Record

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "replication.json"
BASE = {
    "cpu": ["model=minilm", "task=rotten_tomatoes", "task.test_size=1000", "finetune.train_samples=3000"],
    "cuda": ["model=distilbert", "model.weights=random", "task=sst2", f"task.data_dir={HERE.parent}/tests/data/sst2"],
}
CONFIGURATIONS = {
    "cpu": [
        *(["quant=none", f"runtime={name}"] for name in ("onnxruntime", "openvino")),
        *(["quant=int8_dynamic", f"runtime={name}"] for name in ("torch", "onnxruntime", "openvino")),
        *(["quant=bf16", f"runtime={name}"] for name in ("torch", "openvino")),
        *([f"quant={name}", "runtime=torch"] for name in ("nf4", "int4")),
    ],
    "cuda": [
        *([f"quant={name}", "runtime=torch"] for name in ("bf16", "nf4")),
        ["quant=bf16", "runtime=compile"],
        *([f"quant={name}", "runtime=cuda_graphs"] for name in ("none", "bf16", "int8_bnb", "int4")),
    ],
}


def numbers(record: Record) -> Iterator[tuple[str, Any]]:
    """Yield the numbers that a repeat is compared by, with their names."""
    for size, speed in record.speed.by_batch_size.items():
        yield f"speedup, batch {size}", speed.speedup
        yield f"speedup over the recorded baseline, batch {size}", speed.recorded_speedup
        yield f"latency p50, batch {size}", speed.latency_p50_ms
        yield f"latency p99, batch {size}", speed.latency_p99_ms
    yield "peak memory", record.cost.memory.peak_rss_bytes
    yield "load time", record.cost.load.load_time_ms


def measured(name: str, overrides: list[str]) -> dict[str, Any]:
    """Measure a configuration again, and return its numbers with the conditions."""
    record = effcomp.run([*overrides, "tracking=none", "remeasure=true"]).record
    found = {key: value for key, value in numbers(record) if isinstance(value, Interval)}
    noise = record.truth.conditions.noise if record.truth.conditions is not None else []
    return {
        "configuration": name,
        "time": record.truth.time,
        "device": record.truth.machine.device,
        "noise": noise,
        "numbers": {key: value.model_dump() for key, value in found.items()},
        "baselines": {
            f"batch {size}": row.recorded_baseline_latency_p50_ms or row.baseline_latency_p50_ms
            for size, row in record.speed.by_batch_size.items()
        },
    }


def know_the_machine(configurations: list[list[str]], overrides: list[str]) -> None:
    """Measure the first configuration of each runtime with three pairs, whose deviation the store keeps."""
    first: dict[str, list[str]] = {}
    for words in configurations:
        first.setdefault(words[-1], words)
    for words in first.values():
        effcomp.run([*words, *overrides, "tracking=none", "remeasure=true", "bench.pairs=3"])


@contextmanager
def neighbour() -> Iterator[None]:
    """Keep half a core busy."""
    process = subprocess.Popen([sys.executable, "-c", HALF_A_CORE])
    try:
        yield
    finally:
        process.kill()


def share_inside(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return for each number how many later values lie in the first interval, over all configurations, and how many of
    those where both were quiet.

    Args:
        rows: in the order of their measurement.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(row["configuration"] for row in rows):
        first, *others = [row for row in rows if row["configuration"] == name]
        for key, interval in first["numbers"].items():
            later = [row for row in others if key in row["numbers"]]  # of memory one pair may have no interval
            values = [row["numbers"][key]["value"] for row in later]
            inside = [interval["low"] <= value <= interval["high"] for value in values]
            quiet = [held for held, row in zip(inside, later, strict=True) if not (first["noise"] or row["noise"])]
            total = found.setdefault(key, {"inside": 0, "of": 0, "quiet_inside": 0, "quiet_of": 0})
            for counted, held in {"": inside, "quiet_": quiet}.items():
                total[f"{counted}inside"] += sum(held)
                total[f"{counted}of"] += len(held)
            of = total.setdefault("by_configuration", {})
            of[name] = {"first": interval, "later": values, "inside": sum(inside)}
    return {key: one | {"share": one["inside"] / one["of"]} for key, one in found.items()}


def between_baselines(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the deviation between the baselines of all measurements by batch size, of quiet and of noisy ones; None
    for fewer than two."""
    found: dict[str, dict[str, Any]] = {}
    for batch in rows[0]["baselines"]:
        times = [(row["baselines"][batch], bool(row["noise"])) for row in rows]
        known = {state: between_repeats(times, noisy) for state, noisy in (("quiet", False), ("noisy", True))}
        found[batch] = {state: one.model_dump() if one else None for state, one in known.items()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10, help="measurements of each configuration; 1: none to compare")
    parser.add_argument("--configurations", type=int, help="measure the first ones alone")
    parser.add_argument("--device", choices=list(BASE), default="cpu")
    parser.add_argument("--neighbour", action="store_true", help="measure beside a process that uses half a core")
    parser.add_argument("--pause", type=float, default=0, help="minutes to wait between rounds")
    given, overrides = parser.parse_known_args()
    where = given.device + ("_neighbour" if given.neighbour else "")
    chosen = {" ".join(words): words for words in CONFIGURATIONS[given.device][: given.configurations]}
    file = Path("multirun") / f"replication_{where}.ndjson"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    file.parent.mkdir(exist_ok=True)
    shared = [*BASE[given.device], f"device={given.device}", *overrides]
    with neighbour() if given.neighbour else nullcontext():
        if not rows:
            know_the_machine(list(chosen.values()), shared)
        for turn in range(len(rows), given.times * len(chosen)):
            if turn and turn % len(chosen) == 0:
                time.sleep(60 * given.pause)
            name = list(chosen)[turn % len(chosen)]
            rows.append(measured(name, [*chosen[name], *shared]))
            with file.open("a") as stream:
                stream.write(json.dumps(rows[-1]) + "\n")
    if given.times == 1:
        return
    result = {
        "command": " ".join(["python benchmarks/replication.py", *sys.argv[1:]]),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": rows[0]["device"],
        "noisy": sum(bool(row["noise"]) for row in rows),
        "measurements": len(rows),
        "deviation_of_the_baseline_between_measurements": between_baselines(rows),
        "share_of_later_values_in_the_first_interval": share_inside(rows),
    }
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(results | {where: result}, indent=1) + "\n")
    print(json.dumps({key: one["share"] for key, one in share_inside(rows).items()}))


if __name__ == "__main__":
    main()
