"""Resource trace: memory and processor use of a worker over time."""

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType

import psutil

from effcomp.core.device import Device, nvml_handle
from effcomp.record.trace import GpuSample, Sample


@dataclass
class Trace:
    """Sampler of a process from outside, in a thread that sleeps in between (about 0.1 ms of work a sample)."""

    pid: int
    interval_s: float
    device: Device
    samples: list[Sample] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        process = psutil.Process(self.pid)
        start = time.monotonic()
        try:
            process.cpu_percent()
            while not self._stop.wait(self.interval_s):
                seconds = time.monotonic() - start
                sample = Sample(seconds, process.memory_info().rss, process.cpu_percent(), gpu_sample(self.device))
                self.samples.append(sample)
        except psutil.NoSuchProcess:
            return  # the worker's own end is reported by its client

    def __enter__(self) -> "Trace":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()


def gpu_sample(device: Device) -> GpuSample | None:
    """Return NVML's numbers of the GPU now; None on a CPU, or where NVML is not available."""
    if device.kind == "cpu":
        return None
    import pynvml

    try:
        handle = nvml_handle(device.index)
        return GpuSample(
            float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu),
            float(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)),
            pynvml.nvmlDeviceGetPowerUsage(handle) / 1000,
            int(pynvml.nvmlDeviceGetMemoryInfo(handle).used),
            pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle),
        )
    except pynvml.NVMLError:
        return None
