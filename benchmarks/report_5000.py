"""Time a report of 5,000 records.

    python benchmarks/report_5000.py

The records are those of cpu/minilm_sst2.jsonl and cpu/minilm_sst2_pruned.jsonl, again and again: each copy with a seed
of its own, its measured times and accuracies moved by a few percent, and another time of measurement. Times
`python -m effcomp.report` on a file of them, with a recommendation, as a user would type it. Writes report_5000.json
beside this file, and prints it.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from effcomp.core import machine

HERE = Path(__file__).resolve().parent
SOURCES = ("cpu/minilm_sst2.jsonl", "cpu/minilm_sst2_pruned.jsonl")
COUNT = 5000
GOAL = ("--recommend", "max_accuracy_drop=0.5", "minimize=latency_p50_ms")
SPREAD = 0.05
"""Standard deviation of what a number is multiplied by, in logarithms."""


def varied(kept: list[dict[str, Any]], count: int) -> list[str]:
    """So many records, a line each."""
    generator, start, lines = np.random.default_rng(0), datetime(2026, 11, 22, tzinfo=UTC), []
    for index in range(count):
        record = json.loads(json.dumps(kept[index % len(kept)]))
        record["config"]["seed"] = index // len(kept)
        record["truth"]["time"] = (start + timedelta(minutes=index)).isoformat()
        for part in ("speed", "cost"):
            record[part] = moved(record[part], float(np.exp(generator.normal(0, SPREAD))))
        accuracy = record["quality"]["accuracy"]
        record["quality"]["accuracy"] = moved(accuracy, float(np.exp(generator.normal(0, SPREAD / 10))))
        lines.append(json.dumps(record))
    return lines


def moved(value: Any, factor: float) -> Any:
    """Times and accuracies times a factor, speed-ups and throughputs over it; bytes and counts as they are."""
    if isinstance(value, dict):
        faster = {"speedup", "throughput_samples_per_s", "throughput_tokens_per_s"}
        return {key: moved(inner, 1 / factor if key in faster else factor) for key, inner in value.items()}
    return value * factor if isinstance(value, float) else value


def main() -> None:
    kept = [json.loads(line) for name in SOURCES for line in (HERE / name).read_text().splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "records.jsonl"
        file.write_text("\n".join(varied(kept, COUNT)) + "\n")
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "effcomp.report", str(file), *GOAL], check=True, stdout=subprocess.DEVNULL
        )
        seconds = time.perf_counter() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        written = [path for path in (Path(folder) / "records_results").rglob("*") if path.is_file()]
    result = {
        "command": "python -m effcomp.report records.jsonl " + " ".join(GOAL),
        "records": COUNT,
        "seconds": round(seconds, 2),
        "processor_seconds": round(used.ru_utime + used.ru_stime, 2),
        "files": len(written),
        "processor": machine.cpu_info()[0],
        "date": datetime.now(UTC).date().isoformat(),
    }
    text = json.dumps(result, indent=1)
    (HERE / "report_5000.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
