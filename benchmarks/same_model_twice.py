"""Measure how far a model differs from itself, with and without the allocator's memory kept.

    python benchmarks/same_model_twice.py          (after `make demo`; about five minutes on 2 cores)

The float32 baseline of the demo is loaded into two processes and measured as any pair is. Whatever is
not 1.00 is noise of the measurement. glibc returns a freed block of more than 128 KiB to the kernel, and
the next call faults its pages in again, 4 KiB at a time, from wherever the kernel finds them; each
process draws its own luck. `effcomp.core.device.ALLOCATOR` keeps the memory. Writes same_model_twice.json
beside this file, and prints it.
"""

import json
import sys
from pathlib import Path

from effcomp.artifact.description import read_description
from effcomp.core import device, machine
from effcomp.core.device import Device
from effcomp.core.statistics import ratio_interval
from effcomp.measure.bench import Bench
from effcomp.measure.client import Side
from effcomp.measure.disturbance import DisturbedTurns
from effcomp.measure.pair import Pair, measure_batch
from effcomp.quant.floats import Float
from effcomp.runtimes.torch import Torch

ROOT = Path(__file__).resolve().parent.parent
PAIRS = 6
BENCH = Bench(
    name="quick",
    batch_sizes=[1, 32],
    pairs=1,
    turns=15,
    seconds=0,
    turn_ms=150,
    warmup_turns=2,
    precision=None,
    quiet_wait_s=0,
    fixed_length=None,
    prompt_tokens=2,
    new_tokens=0,
    scenarios=[],
    server_p99_ms=100,
    energy_seconds=0,
    noninferiority_margin=0.005,
    trace_interval_s=1,
)


def baseline() -> Path:
    """The artifact of the demo that is neither quantized nor pruned."""
    for folder in sorted((ROOT / "multirun/store/artifact").glob("*/")):
        description = read_description(folder)
        if description.quant["fields"]["name"] == "none" == description.prune["fields"]["name"]:
            return folder
    sys.exit("run `make demo` first: it makes the model that is measured here")


def ratios() -> dict[str, list[dict[str, float]]]:
    """For each batch size, the ratio of the model to itself in each of PAIRS fresh pairs of processes."""
    side = Side(baseline(), Torch(name="torch"), Float(name="none", dtype="float32"))
    tokens = next((ROOT / "multirun/store/tokens").glob("*/tokens.safetensors"))
    cpu = Device(name="cpu", kind="cpu", threads=None).resolved()
    measured: dict[str, list[dict[str, float]]] = {str(size): [] for size in BENCH.batch_sizes}
    for _ in range(PAIRS):
        with Pair((side, side), (tokens, tokens), cpu) as pair:
            for size in BENCH.batch_sizes:
                times = measure_batch(pair, BENCH, size, DisturbedTurns(BENCH.turns), lambda _: None)
                interval = ratio_interval(times.baseline, times.variant)
                measured[str(size)].append({key: round(value, 4) for key, value in interval.model_dump().items()})
                print(size, measured[str(size)][-1], file=sys.stderr)
    return measured


def main() -> None:
    result = {
        "command": "python benchmarks/same_model_twice.py",
        "device": machine.device_name(Device(name="cpu", kind="cpu", threads=None)),
        "instruction_sets": machine.cpu_info()[1],
        "libraries": machine.library_versions(),
        "ratio_of_the_model_to_itself_by_batch_size": {"memory kept": ratios()},
    }
    device.ALLOCATOR.clear()
    result["ratio_of_the_model_to_itself_by_batch_size"]["allocator as it is"] = ratios()  # type: ignore[index]
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
