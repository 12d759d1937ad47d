"""Other activity of the machine during a measurement: other work, stolen time, clocks, throttling."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from effcomp.core.device import Device
from effcomp.measure.disturbance import Repeats
from effcomp.record import Conditions
from effcomp.record.trace import Sample

BUSY_CORES = 0.15
"""Processor cores used by other processes, on average over the measurement, above which a run is noisy."""
STOLEN_SHARE = 0.02
THROTTLE_COUNTS = "devices/system/cpu/cpu*/thermal_throttle/core_throttle_count"
SYS = Path("/sys")


@dataclass(frozen=True)
class Reading:
    seconds: float
    busy_cpu_s: float
    """Processor time of the whole machine, without stolen time."""
    stolen_cpu_s: float
    own_cpu_s: float
    """Processor time of this process and of those that it started, also of those that have ended."""
    mhz: float | None
    """Clock of the device; None where the system does not report it."""
    throttle_events: int


def read(device: Device) -> Reading:
    times = psutil.cpu_times()
    stolen = getattr(times, "steal", 0.0)
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    own = 0.0
    for process in family:
        try:
            used = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        own += used.user + used.system + used.children_user + used.children_system
    return Reading(
        seconds=time.monotonic(),
        busy_cpu_s=sum(times) - times.idle - getattr(times, "iowait", 0.0) - stolen - guest_s(times),
        stolen_cpu_s=stolen,
        own_cpu_s=own,
        mhz=gpu_mhz(device) if device.kind == "cuda" else cpu_mhz(),
        throttle_events=sum(int(file.read_text()) for file in SYS.glob(THROTTLE_COUNTS)),
    )


def guest_s(times: Any) -> float:
    """Return the time of virtual machines, which Linux counts in user time, and psutil reports apart as well."""
    return float(getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0))


def cpu_mhz() -> float | None:
    frequency = psutil.cpu_freq()
    return frequency.current if frequency is not None and frequency.current else None


def gpu_mhz(device: Device) -> float | None:
    import pynvml

    from effcomp.core.device import nvml_handle

    try:
        mhz: float = pynvml.nvmlDeviceGetClockInfo(nvml_handle(device.index), pynvml.NVML_CLOCK_SM)
        return mhz
    except pynvml.NVMLError:
        return None


HARMFUL = 0x8 | 0x20 | 0x40 | 0x80
"""NVML's bits for hardware slow-down, software thermal, hardware thermal and power-brake slow-down."""


def between(
    device: Device, before: Reading, after: Reading, trace: Sequence[Sample], repeats: Sequence[Repeats]
) -> Conditions:
    """Return the other activity of the machine from one reading to the next, and the reasons to call it noise.

    Args:
        device: resolved.
        trace: samples of the time between, because a GPU throttled under load is not throttled before and after.
        repeats: counts of the turns of each pair that was timed between.
    """
    elapsed = max(after.seconds - before.seconds, 1e-9)
    own = after.own_cpu_s - before.own_cpu_s
    others = max(0.0, (after.busy_cpu_s - before.busy_cpu_s - own) / elapsed)
    stolen = (after.stolen_cpu_s - before.stolen_cpu_s) / elapsed / (psutil.cpu_count() or 1)
    throttled = after.throttle_events - before.throttle_events
    gpu_throttled = any(sample.gpu is not None and sample.gpu.throttle_reasons & HARMFUL for sample in trace)
    repeated, disturbed = sum(one.repeated for one in repeats), sum(one.disturbed for one in repeats)
    counted = all(one.counted for one in repeats)
    noise = []
    if others > BUSY_CORES:
        noise.append(f"other processes used {others:.2f} cores")
    if stolen > STOLEN_SHARE:
        noise.append(f"{stolen:.0%} of the processor's time was stolen by other virtual machines")
    if disturbed:
        noise.append(f"other processes held the processor in {disturbed} turns, beside {repeated} repeated")
    if throttled:
        noise.append(f"the processor was throttled {throttled} times")
    if gpu_throttled:
        noise.append("the GPU was throttled")
    return Conditions(
        other_busy_cores=others,
        free_cores=max(0.0, len(device.cores or os.sched_getaffinity(0)) - others),
        repeated_turns=repeated if counted else None,
        disturbed_turns=disturbed if counted else None,
        stolen_share=stolen,
        clock_before_mhz=before.mhz,
        clock_after_mhz=after.mhz,
        throttle_events=throttled,
        noise=noise,
    )
