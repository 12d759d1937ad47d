"""A neighbour that uses half a core: what it does to float32 on OpenVINO against PyTorch at batch 1.

    python benchmarks/busy_neighbour.py          (after `make demo`; about two minutes on 2 cores)

Measured alone and beside the neighbour; with OpenMP threads that spin while they wait, as by default, and every turn
averaged in; and as effcomp measures, with threads that sleep and disturbed turns repeated. The speed-up should not
depend on the neighbour. Writes busy_neighbour.json.
"""

import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from same_model_twice import BENCH, ROOT, baseline

from effcomp.artifact.folder import Compression, Trained, write_artifact
from effcomp.core import machine
from effcomp.core.batches import Ragged
from effcomp.core.device import WAITING, Device
from effcomp.core.statistics import ratio_interval
from effcomp.measure.client import Side
from effcomp.measure.disturbance import DisturbedTurns
from effcomp.measure.pair import Pair, measure_batch
from effcomp.models.base import load_checkpoint
from effcomp.prune.base import NoPrune
from effcomp.quant.floats import Float
from effcomp.runtimes.openvino import OpenVinoRuntime
from effcomp.runtimes.torch import Torch

HALF_A_CORE = """
import os, time
parent = os.getppid()
while os.getppid() == parent:
    end = time.time() + 0.05
    while time.time() < end: pass
    time.sleep(0.05)
"""
SPINNING = {"GOMP_SPINCOUNT": "300000", "KMP_BLOCKTIME": "200"}
"""The defaults of libgomp and of Intel's and LLVM's OpenMP."""
FLOAT32 = Float(name="none", dtype="float32")


def speedup(sides: tuple[Side, Side], tokens: Path, device: Device, disturbed_turns: DisturbedTurns) -> dict[str, Any]:
    """Return the paired speed-up at batch 1, the medians of both sides in ms, and the turns that were repeated."""
    with Pair(sides, (tokens, tokens), device) as pair:
        times = measure_batch(pair, BENCH, 1, disturbed_turns, lambda _: None)
    return {
        "speedup": ratio_interval(times.baseline, times.variant).model_dump(),
        "torch_ms": float(np.median(times.baseline)),
        "openvino_ms": float(np.median(times.variant)),
        "repeated_turns": disturbed_turns.repeated,
        "disturbed_turns": disturbed_turns.disturbed,
    }


def main() -> None:
    device = Device(name="cpu", kind="cpu", threads=None).resolved()
    tokens = next((ROOT / "multirun/store/tokens").glob("*/tokens.safetensors"))
    ours, found = dict(WAITING), []
    with tempfile.TemporaryDirectory() as folder:
        graph, runtime = Path(folder) / "openvino", OpenVinoRuntime(name="openvino")
        graph.mkdir()
        model, tokenizer = load_checkpoint(baseline(), "sequence_classification")
        prune = NoPrune(name="none")
        example = [Ragged.load(tokens).batch([0])]
        write_artifact(
            Trained(model, tokenizer, "sequence_classification"),
            Compression(prune, FLOAT32, runtime.file_format),
            [],
            example,
            graph,
        )
        sides = Side(baseline(), Torch(name="torch"), FLOAT32), Side(graph, runtime, FLOAT32)
        for waiting, environment in (("spin", SPINNING), ("sleep", ours)):
            WAITING.update(environment)
            for neighbour in (False, True):
                command = HALF_A_CORE if neighbour else "input()"
                with subprocess.Popen([sys.executable, "-c", command], stdin=subprocess.PIPE) as other:
                    result = speedup(sides, tokens, device, DisturbedTurns(BENCH.turns if waiting == "sleep" else 0))
                    other.kill()
                found.append({"threads": waiting, "neighbour": neighbour, **result})
                print(found[-1], file=sys.stderr, flush=True)
    result = {
        "command": "python benchmarks/busy_neighbour.py",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": machine.device_name(device),
        "threads": device.threads,
        "measured": found,
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
