"""Waiting of a process for the processor is noticed."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from effcomp.core.device import Device
from effcomp.core.template import Template
from effcomp.measure.client import Side, Worker
from effcomp.measure.waiting import waited_ns, waited_share
from tests.measure.test_activity import BUSY
from tests.measure.test_worker import EAGER, FLOAT32, folder

__all__ = ["folder"]


def test_waiting_is_a_share_of_the_measured_time() -> None:
    before = waited_ns()
    assert waited_share(None, [1]) is None
    if before is not None:
        share = waited_share(before, [10**12])
        assert share is not None and 0 <= share < 1


@pytest.mark.skipif(waited_ns() is None, reason="needs a kernel that counts waiting (CONFIG_SCHED_INFO)")
def test_a_process_on_the_same_core_is_noticed(folder: Path, torch_template: Template) -> None:
    core = max(os.sched_getaffinity(0))
    pinned = Device(name="cpu", kind="cpu", cores=[core], threads=1)
    with Worker(
        Side(folder / "artifact", EAGER, FLOAT32), folder / "tokens", pinned, template=torch_template
    ) as worker:
        worker.wait_until_started()
        worker.load()
        with subprocess.Popen([sys.executable, "-c", BUSY.format(seconds=60)]) as other:
            os.sched_setaffinity(other.pid, [core])
            answers = [worker.ask("turn", batches=[[0, 1] * 200] * 4) for _ in range(3)]
            other.kill()
    assert np.median([answer["waited_share"] for answer in answers]) > 0.2
