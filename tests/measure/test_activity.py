"""Activity of other processes is seen, and that of our own is not taken for it."""

import subprocess
import sys
import time

import psutil
import pytest

from effcomp.core.device import Device
from effcomp.measure.activity import Activity, read_counters

CPU = Device(name="cpu", kind="cpu", threads=1)
BUSY = "import time; end = time.time() + {seconds}\nwhile time.time() < end: pass"
QUIET = Activity(seconds=0.4, other_cpu_s=0.01, stolen_cpu_s=0.0, throttle_events=0, gpu_throttled=False)


def start_orphan(seconds: float) -> None:
    """Start a busy process that is not ours: its parent is gone."""
    start = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {BUSY.format(seconds=seconds)!r}])"
    subprocess.run([sys.executable, "-c", start], check=True)


def test_another_process_at_work_is_noise() -> None:
    start_orphan(seconds=1.5)
    before = read_counters(CPU)
    time.sleep(1)
    found = Activity.between(before, read_counters(CPU))
    assert found.other_cores > 0.3
    assert any("other processes used" in reason for reason in found.noise())


def test_what_a_child_used_is_ours_after_its_end() -> None:
    """A compiler that ran and went is not another's work."""
    before = read_counters(CPU)
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.5: pass"], check=True)
    assert read_counters(CPU).own_cpu_s - before.own_cpu_s > 0.45, "a clock counts ticks"


def test_our_own_children_are_not_others() -> None:
    with subprocess.Popen([sys.executable, "-c", BUSY.format(seconds=5)]) as child:
        time.sleep(0.3)
        worked = psutil.Process(child.pid).cpu_times
        before, start = read_counters(CPU), worked().user
        time.sleep(1)
        end, after = worked().user, read_counters(CPU)
        child.kill()
    assert after.own_cpu_s - before.own_cpu_s > 0.99 * (end - start) > 0


def test_a_total_weighs_its_parts_by_their_time() -> None:
    busy = Activity(seconds=0.1, other_cpu_s=0.09, stolen_cpu_s=0.01, throttle_events=2, gpu_throttled=True)
    found = Activity.total([QUIET, busy])
    assert (found.other_cores, found.throttle_events, found.gpu_throttled) == (pytest.approx(0.2), 2, True)
    assert QUIET.noise() == []
    assert len(busy.noise()) >= 3
