"""The measured process, killed by the kernel for its memory (a control group with a limit)."""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from effcomp.record import Record
from tests.faults.ground import Ground

CONTROL = Path("/sys/fs/cgroup/memory")
LIMIT_BYTES = 4 * 2**20
"""Less than a measured process writes; the pages that it shares with its template are the template's."""


@contextlib.contextmanager
def small_memory() -> Iterator[Path]:
    """A control group; a process whose number is written into the file that this yields may hold LIMIT_BYTES."""
    group = CONTROL / f"effcomp-test-{time.time_ns()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(LIMIT_BYTES))
    except OSError as error:
        pytest.skip(f"no control group of memory can be made: {error}")
    try:
        yield group / "cgroup.procs"
    finally:
        group.rmdir()


@pytest.mark.faults
def test_a_configuration_whose_worker_runs_out_of_memory_is_recorded_and_the_sweep_goes_on(ground: Ground) -> None:
    with small_memory() as procs:
        sweep, workers, end = ground.start_afresh(), list[psutil.Process](), time.monotonic() + 120
        while not workers:
            assert time.monotonic() < end and sweep.poll() is None, "no measured process was seen"
            named = [one for one in ground.processes() if "effcomp.measure.worker" in one.cmdline()]
            workers = [one for one in named if one.parent() in named]  # the first is their template
        procs.write_text(str(workers[0].pid))
        assert sweep.wait(180) == 1
        ground.wait_until_quiet()
    (outcome,) = ground.folder.glob("multirun/2*/*/0/outcome.json")
    assert json.loads(outcome.read_text())["status"] == "failed"
    assert "killed by signal 9 (out of memory?)" in json.loads(outcome.read_text())["reason"]
    (record,) = ground.folder.glob("multirun/2*/*/*/record.json")
    assert Record.read(record).choices["quant"] == "int8_dynamic"
    assert ground.open_runs() == []
