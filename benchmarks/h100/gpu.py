"""Common parts of the scripts beside this file: the GPU, the time of a recorded call on it, the file of a result."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from effcomp.core import machine
from effcomp.core.device import Device

HERE = Path(__file__).resolve().parent
GPU = Device(name="cuda", kind="cuda", threads=8)


def gpu_ms(graph: torch.cuda.CUDAGraph) -> float:
    """Between events around one replay."""
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    graph.replay()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end)


def save(table: str, found: dict[str, Any]) -> None:
    """Write TABLE.json: what was found, by which command, on what and when; and print it."""
    circumstances = {
        "device": machine.device_name(GPU),
        "libraries": machine.library_versions(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    text = json.dumps({"command": f"benchmarks/h100.sh {table}", **found, **circumstances}, indent=1) + "\n"
    (HERE / f"{table}.json").write_text(text)
    print(text)
