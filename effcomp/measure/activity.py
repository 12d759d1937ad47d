"""Activity of the machine from one reading to another: other processes, stolen time, throttling."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from effcomp.core.device import Device
from effcomp.measure.trace import gpu_sample
from effcomp.record.trace import GpuSample

BUSY_CORES, BUSY_SHARE = 0.15, 0.01
"""The machine is busy when other processes use more than so many of its cores, and more than this share of all."""
STOLEN_SHARE = 0.02
THROTTLE_COUNTS = "devices/system/cpu/cpu*/thermal_throttle/core_throttle_count"
SYS = Path("/sys")
HARMFUL = 0x8 | 0x20 | 0x40 | 0x80
"""NVML's bits for hardware slow-down, software thermal, hardware thermal and power-brake slow-down."""


@dataclass(frozen=True)
class Reading:
    """Counters of the machine at one time; it takes some milliseconds."""

    seconds: float
    busy_cpu_s: float
    """Processor time of the whole machine, without stolen time."""
    stolen_cpu_s: float
    own_cpu_s: float
    """Processor time of this process and of those that it started, also of those that have ended."""
    mhz: float | None
    """Clock of the device; None where the system does not report it."""
    throttle_events: int
    gpu_throttled: bool


@dataclass(frozen=True)
class Activity:
    """Activity that is not of this process and those that it started."""

    seconds: float
    other_cpu_s: float
    """Processor time of other processes."""
    stolen_cpu_s: float
    """Processor time that other virtual machines took."""
    throttle_events: int
    """Thermal throttling of the processor's cores, as the kernel counts it."""
    gpu_throttled: bool

    @classmethod
    def between(cls, before: Reading, after: Reading) -> "Activity":
        own = after.own_cpu_s - before.own_cpu_s
        return cls(
            seconds=max(after.seconds - before.seconds, 1e-9),
            other_cpu_s=max(0.0, after.busy_cpu_s - before.busy_cpu_s - own),
            stolen_cpu_s=after.stolen_cpu_s - before.stolen_cpu_s,
            throttle_events=after.throttle_events - before.throttle_events,
            gpu_throttled=after.gpu_throttled,
        )

    @classmethod
    def total(cls, parts: Sequence["Activity"]) -> "Activity":
        return cls(
            seconds=sum(part.seconds for part in parts),
            other_cpu_s=sum(part.other_cpu_s for part in parts),
            stolen_cpu_s=sum(part.stolen_cpu_s for part in parts),
            throttle_events=sum(part.throttle_events for part in parts),
            gpu_throttled=any(part.gpu_throttled for part in parts),
        )

    @property
    def other_cores(self) -> float:
        """Return the cores that other processes used, on average."""
        return self.other_cpu_s / self.seconds

    @property
    def stolen_share(self) -> float:
        """Return the share of the processor's time that other virtual machines took."""
        return self.stolen_cpu_s / self.seconds / (psutil.cpu_count() or 1)

    def noise(self) -> list[str]:
        """Return the reasons for which the machine was not quiet; empty where it was."""
        found = []
        if self.other_cores > max(BUSY_CORES, BUSY_SHARE * (psutil.cpu_count() or 1)):
            found.append(f"other processes used {self.other_cores:.2f} cores")
        if self.stolen_share > STOLEN_SHARE:
            found.append(f"{self.stolen_share:.0%} of the processor's time was stolen by other virtual machines")
        if self.throttle_events:
            found.append(f"the processor was throttled {self.throttle_events} times")
        if self.gpu_throttled:
            found.append("the GPU was throttled")
        return found


def read_counters(device: Device) -> Reading:
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
        gpu_throttled=throttled(gpu_sample(device)),
    )


def throttled(gpu: GpuSample | None) -> bool:
    """Tell whether a GPU was slowed down by its temperature or its power supply."""
    return gpu is not None and bool(gpu.throttle_reasons & HARMFUL)


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
