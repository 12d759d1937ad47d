"""Does a long sweep slow down, or fill the memory?

    python benchmarks/many_configurations.py [COUNT]

One sweep of 300 configurations (or COUNT) through the real command: a DistilBERT of two layers, 64 wide, with random
weights, three number formats, each with its own seed, into one store and one MLflow database. Reads the memory of the
two processes that live as long as the sweep (the one that was started, and the one that runs the configurations) when
a configuration has ended; fits a line to those and to the seconds of each configuration (Theil and Sen's median of
slopes, with its 95 % interval: what else runs on the machine moves it little). Writes many_configurations.json beside
this file, and prints it.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from scipy.stats import theilslopes

from effcomp.core import machine

HERE = Path(__file__).resolve().parent
COUNT = 300
QUANTS = ("none", "int8_dynamic", "int8_scratch")
SETTINGS = (
    *("model=distilbert", "model.weights=random", "model.architecture.dim=64", "model.architecture.hidden_dim=128"),
    *("model.architecture.n_layers=2", "model.architecture.n_heads=2", "model.architecture.vocab_size=1000"),
    *("device=cpu", "device.threads=1", "task=rotten_tomatoes", "task.test_size=20", "bench=quick"),
    *("bench.batch_sizes=[1]", "bench.turns=6", "bench.seconds=0", "bench.turn_ms=5", "bench.warmup_turns=1"),
)


def watch(sweep: psutil.Popen, folder: Path) -> list[dict[str, float]]:
    """Return the memory of a sweep's processes at each time that a configuration has its record."""
    seen: set[Path] = set()
    rows: list[dict[str, float]] = []
    while sweep.poll() is None:
        time.sleep(0.1)
        new = set(folder.glob("multirun/2*/*/*/record.json")) - seen
        if not new:
            continue
        assert len(new) == 1, "two configurations within a tenth of a second"
        jobs = [child for child in sweep.children() if "effcomp.sweep.job" in child.cmdline()]
        if not jobs:
            continue
        rows.append(
            {
                "ended_s": max(file.stat().st_mtime for file in new),
                "sweep_rss_bytes": sweep.memory_info().rss,
                "job_rss_bytes": jobs[0].memory_info().rss,
            }
        )
        seen |= new
    return rows


def fitted(values: list[float]) -> dict[str, float]:
    """The line through the values by their number: how much of their median 100 configurations add, in percent."""
    slope, _, low, high = theilslopes(values, np.arange(len(values)))
    middle = float(np.median(values))
    percent = {
        name: round(100 * 100 * float(x) / middle, 3) for name, x in (("", slope), (".low", low), (".high", high))
    }
    return {"median": round(middle, 3)} | {f"percent_per_100{name}": value for name, value in percent.items()}


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    seeds = -(-count // len(QUANTS))
    choices = (f"seed=range({seeds})", f"quant={','.join(QUANTS)}")  # the last one varies fastest
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "stderr").open("w") as errors:
            sweep = psutil.Popen(
                [sys.executable, "-m", "effcomp.run", "-m", *SETTINGS, *choices],
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(HERE.parent), "HF_HUB_OFFLINE": "1"},
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
            rows = watch(sweep, folder)
        assert sweep.returncode == 0, (folder / "stderr").read_text()[-3000:]
    seconds = np.diff([row["ended_s"] for row in rows]).tolist()
    first, last = rows[2], rows[-1]  # each format has been there once
    result: dict[str, Any] = {
        "command": f"python benchmarks/many_configurations.py {count}",
        "configurations": len(rows),
        "seconds_each": fitted(seconds),
        "sweep_rss_mib": fitted([row["sweep_rss_bytes"] / 2**20 for row in rows[2:]]),
        "job_rss_mib": fitted([row["job_rss_bytes"] / 2**20 for row in rows[2:]]),
        "sweep_rss_grew_bytes": last["sweep_rss_bytes"] - first["sweep_rss_bytes"],
        "job_rss_grew_bytes": last["job_rss_bytes"] - first["job_rss_bytes"],
        "processor": machine.cpu_info()[0],
        "shared": "other work ran on this machine at the same time",
        "date": datetime.now(UTC).date().isoformat(),
        "each": {
            "seconds": [None, *(round(value, 2) for value in seconds)],
            "sweep_rss_mib": [round(row["sweep_rss_bytes"] / 2**20, 1) for row in rows],
            "job_rss_mib": [round(row["job_rss_bytes"] / 2**20, 1) for row in rows],
        },
    }
    text = json.dumps({key: value for key, value in result.items() if key != "each"}, indent=1)
    (HERE / "many_configurations.json").write_text(json.dumps(result) + "\n")
    print(text)


if __name__ == "__main__":
    main()
