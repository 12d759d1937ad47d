"""Turns in which other processes hold the processor are noticed, and measured again so often and no more."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from effcomp.core.device import Device
from effcomp.measure.client import Side, Worker
from effcomp.measure.disturbance import Repeats, waited_ns, waited_share
from tests.measure.test_conditions import BUSY
from tests.measure.test_worker import EAGER, FLOAT32, folder

__all__ = ["folder"]
QUIET, BUSY_SHARE = 0.01, 0.4


def test_a_disturbed_turn_is_measured_again_until_half_as_many_were() -> None:
    repeats = Repeats(turns=6)
    assert not repeats.again([QUIET, QUIET])
    assert [repeats.again([QUIET, BUSY_SHARE]) for _ in range(4)] == [True, True, True, False]
    assert (repeats.repeated, repeats.disturbed) == (3, 1)
    assert not repeats.again([QUIET, QUIET])
    assert repeats.disturbed == 1


def test_either_side_disturbs_a_turn() -> None:
    assert Repeats(turns=2).again([BUSY_SHARE, QUIET])
    assert Repeats(turns=2).again([QUIET, BUSY_SHARE])


def test_where_the_kernel_does_not_count_no_turn_is_judged() -> None:
    repeats = Repeats(turns=6)
    assert not repeats.again([None, None])
    assert not repeats.counted


def test_waiting_is_a_share_of_the_measured_time() -> None:
    before = waited_ns()
    assert waited_share(None, [1]) is None
    if before is not None:
        share = waited_share(before, [10**12])
        assert share is not None and 0 <= share < 1


@pytest.mark.skipif(waited_ns() is None, reason="needs a kernel that counts waiting (CONFIG_SCHED_INFO)")
def test_a_process_on_the_same_core_is_noticed(folder: Path) -> None:
    core = max(os.sched_getaffinity(0))
    pinned = Device(name="cpu", kind="cpu", cores=[core], threads=1)
    with Worker(Side(folder / "artifact", EAGER, FLOAT32), folder / "tokens", pinned) as worker:
        worker.wait_until_started()
        worker.load()
        with subprocess.Popen([sys.executable, "-c", BUSY.format(seconds=60)]) as other:
            os.sched_setaffinity(other.pid, [core])
            answers = [worker.ask("turn", batches=[[0, 1] * 200] * 4) for _ in range(3)]
            other.kill()
    assert np.median([answer["waited_share"] for answer in answers]) > 0.2
