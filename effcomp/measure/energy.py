"""Energy by the counters of the hardware: NVML's on a GPU, RAPL's on a CPU where it can be read."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from effcomp.core.device import Device, nvml_handle
from effcomp.measure.bench import Bench
from effcomp.measure.client import Worker
from effcomp.measure.trace import Trace
from effcomp.record import Energy

POWERCAP = Path("/sys/class/powercap")
IDLE_SECONDS = 2.0
POWER_INTERVAL_S = 0.1
"""Interval between readings of power, in seconds; NVML averages over a tenth of a second or more."""


@dataclass(frozen=True)
class Counter:
    """Monotonic counter of joules."""

    name: str
    joules: Callable[[], float]


def energy_counter(device: Device) -> Counter | str:
    """Return the energy counter of this device (resolved), or the reason why there is none."""
    return nvml_counter(device.index) if device.kind == "cuda" else rapl_counter(POWERCAP)


def nvml_counter(index: int) -> Counter | str:
    """Return NVML's counter of the board's energy (nvmlDeviceGetTotalEnergyConsumption; Volta and later)."""
    import pynvml

    try:
        handle = nvml_handle(index)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError as error:
        return f"NVML's energy counter cannot be read ({error})"
    return Counter("NVML, the GPU's board", lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000)


def rapl_counter(powercap: Path) -> Counter | str:
    """Return the counter of Intel's and AMD's running average power limit (RAPL), summed over the packages.

    Other domains (the cores of a package; psys, the whole platform) count the same joules again. A package counts in
    microjoules and restarts at 0 after its largest value; this counter adds up across restarts.
    """
    packages = [
        file.parent for file in sorted(powercap.glob("*-rapl:*/name")) if file.read_text().startswith("package")
    ]
    if not packages:
        return f"{powercap} has no RAPL counter (a virtual machine, or a kernel without it)"
    try:
        last = [read_number(package / "energy_uj") for package in packages]
        sizes = [read_number(package / "max_energy_range_uj") for package in packages]
    except OSError as error:
        return f"RAPL's counter cannot be read: {error.strerror} ({error.filename})"
    total = 0

    def joules() -> float:
        nonlocal total
        for i, package in enumerate(packages):
            now = read_number(package / "energy_uj")
            total += now - last[i] if now >= last[i] else now + sizes[i] - last[i]
            last[i] = now
        return total / 1e6

    return Counter("RAPL, the processor's packages", joules)


def read_number(file: Path) -> int:
    return int(file.read_text())


def idle_power_w(counter: Counter, seconds: float = IDLE_SECONDS) -> float:
    """Measure the mean power in watts while effcomp does no work."""
    start, before = time.monotonic(), counter.joules()
    time.sleep(seconds)
    return (counter.joules() - before) / (time.monotonic() - start)


@dataclass(frozen=True)
class Idle:
    """State of the machine before effcomp starts a process."""

    counter: Counter | str
    power_w: float | None


def watch_idle(bench: Bench, device: Device) -> Idle:
    """Measure the idle power, where there is a counter and energy is to be measured."""
    if bench.energy_seconds == 0:
        return Idle("bench.energy_seconds is 0", None)
    counter = energy_counter(device)
    return Idle(counter, None if isinstance(counter, str) else idle_power_w(counter))


def energy_per_sample(worker: Worker, bench: Bench, device: Device, idle: Idle) -> Energy:
    """Measure the energy above idle of work at the largest batch size, in joules per sample; bench.pairs share the
    time."""
    if isinstance(idle.counter, str):
        return Energy(energy_per_sample_j=f"unavailable: {idle.counter}")
    assert idle.power_w is not None, "where there is a counter the idle power was measured"
    worker.ask("work", batch_size=max(bench.batch_sizes), seconds=0)  # what it prepares costs no sample
    before = idle.counter.joules()
    with Trace(worker.pid, POWER_INTERVAL_S, device) as trace:
        work = worker.ask("work", batch_size=max(bench.batch_sizes), seconds=bench.energy_seconds / bench.pairs)
    used = idle.counter.joules() - before - idle.power_w * work["seconds"]
    peak = max((sample.gpu.power_w for sample in trace.samples if sample.gpu is not None), default=None)
    return Energy(
        energy_per_sample_j=used / work["samples"],
        counter=idle.counter.name,
        idle_power_w=idle.power_w,
        peak_power_w=peak,
    )
