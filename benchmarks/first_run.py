"""The first minutes of a new user, by stage: a bare clone, `make install`, the demo.

    python benchmarks/first_run.py          (about five minutes on 2 cores; pip's or uv's cache is the user's own)

Writes benchmarks/first_run.json, one entry a processor: seconds of the installation, seconds of the demo at which each
stage began (from the arrival of its log lines), and the rows themselves. Entries of other processors stay.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from effcomp.core import machine
from effcomp.core.device import Device
from effcomp.record import Record

ROOT = Path(__file__).resolve().parent.parent
RESULT = Path(__file__).with_suffix(".json")
STAGE = re.compile(r"INFO (fine-tuning|compressing|measuring the machine's own rates|measuring|record:)")


def install(clone: Path) -> float:
    """Return the seconds of `make install` in a bare clone."""
    subprocess.run(["git", "clone", "--quiet", "--local", str(ROOT), str(clone)], check=True)
    start = time.perf_counter()
    subprocess.run(["make", "--silent", "install"], cwd=clone, check=True)
    return time.perf_counter() - start


def demo(clone: Path) -> tuple[list[tuple[float, str]], list[Record]]:
    """Run what `make demo` runs; return when each stage began, in seconds, and the records."""
    command = [".venv/bin/python", "-m", "effcomp.run", "-m", "+experiment=demo"]
    start, stages = time.perf_counter(), []
    with (
        (clone / "demo.jsonl").open("w") as records,
        subprocess.Popen(command, cwd=clone, stdout=records, stderr=subprocess.PIPE, text=True) as process,
    ):
        assert process.stderr is not None
        for line in process.stderr:
            print(line, end="", file=sys.stderr)
            if found := STAGE.search(line):
                stage = "row complete" if found[1] == "record:" else found[1]
                stages.append((round(time.perf_counter() - start, 1), stage))
    if process.returncode:
        sys.exit(f"the demo ended with exit code {process.returncode}")
    stages.append((round(time.perf_counter() - start, 1), "end"))
    return stages, [Record.from_json(line) for line in (clone / "demo.jsonl").read_text().splitlines()]


def row(record: Record) -> dict[str, Any]:
    """Return what the demo's table says of a configuration, in short."""
    choices = record.config["choices"]
    return {
        "quant": choices["quant"],
        "runtime": choices["runtime"],
        "accuracy": record.metrics()["quality.accuracy"],
        "speedup": record.speed.speedup.model_dump(),
        "artifact_bytes": record.cost.size.artifact_bytes,
        "noise": record.truth.conditions.noise if record.truth.conditions else [],
    }


def main() -> None:
    cpu = Device(name="cpu", kind="cpu", threads=None)
    with tempfile.TemporaryDirectory(prefix="effcomp-first-run-") as folder:
        clone = Path(folder) / "effcomp"
        installed_s = install(clone)
        stages, records = demo(clone)
    first_row_s = next(seconds for seconds, stage in stages if stage == "row complete")
    entry = {
        "command": "python benchmarks/first_run.py",
        "device": machine.device_name(cpu),
        "instruction_sets": machine.cpu_info()[1],
        "date": datetime.now(UTC).date().isoformat(),
        "commit": machine.git_commit(),
        "install_s": round(installed_s, 1),
        "first_row_s": first_row_s,
        "demo_s": stages[-1][0],
        "stages": stages,
        "rows": [row(record) for record in records],
    }
    entry = json.loads(json.dumps(entry))
    before = json.loads(RESULT.read_text()) if RESULT.exists() else []
    kept = [one for one in before if one["instruction_sets"] != entry["instruction_sets"]]
    RESULT.write_text(json.dumps([*kept, entry], indent=1) + "\n")
    print(f"installed in {installed_s:.0f} s, first row after {first_row_s:.0f} s more, demo {entry['demo_s']:.0f} s")


if __name__ == "__main__":
    main()
