"""What else the machine did is seen, and what we did ourselves is not taken for it."""

import os
import subprocess
import sys
import time

import psutil

from effcomp.core.device import Device
from effcomp.measure.conditions import between, read
from effcomp.measure.disturbance import Repeats
from effcomp.record.trace import GpuSample, Sample

CPU = Device(name="cpu", kind="cpu", threads=1)
BUSY = "import time; end = time.time() + {seconds}\nwhile time.time() < end: pass"


def test_another_process_at_work_makes_a_run_noisy() -> None:
    start = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {BUSY.format(seconds=1.5)!r}])"
    subprocess.run([sys.executable, "-c", start], check=True)  # its parent is gone: it is not ours
    before = read(CPU)
    time.sleep(1)
    found = between(CPU, before, read(CPU), [], [Repeats(6)])
    assert found.other_busy_cores > 0.3
    assert found.free_cores is not None
    assert found.free_cores <= len(os.sched_getaffinity(0)) - 0.3
    assert any("other processes used" in reason for reason in found.noise)


def test_a_gpu_that_is_throttled_in_between_makes_a_run_noisy() -> None:
    idle, hot = (Sample(1, 0, 0, GpuSample(100, 80, 700, 10, throttle_reasons=bits)) for bits in (0x1, 0x40))
    reading = read(CPU)
    assert between(CPU, reading, reading, [idle], [Repeats(6)]).noise == []
    assert between(CPU, reading, reading, [idle, hot], [Repeats(6)]).noise == ["the GPU was throttled"]


def test_what_a_child_used_is_ours_after_its_end() -> None:
    """A compiler that ran and went is not another's work."""
    before = read(CPU)
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.5: pass"], check=True)
    assert read(CPU).own_cpu_s - before.own_cpu_s >= 0.5


def test_our_own_children_are_not_others() -> None:
    with subprocess.Popen([sys.executable, "-c", BUSY.format(seconds=5)]) as child:
        time.sleep(0.3)
        worked = psutil.Process(child.pid).cpu_times
        before, start = read(CPU), worked().user
        time.sleep(1)
        end, after = worked().user, read(CPU)
        child.kill()
    assert after.own_cpu_s - before.own_cpu_s > 0.99 * (end - start) > 0
