"""The resource trace: memory and processor use of a worker over time."""

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType

import psutil


@dataclass(frozen=True)
class Sample:
    seconds: float
    rss_bytes: int
    cpu_percent: float
    """100 is one core."""


@dataclass
class Trace:
    """Samples a process from outside, in a thread that sleeps in between (about 0.1 ms of work a sample)."""

    pid: int
    interval_s: float
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
                sample = Sample(time.monotonic() - start, process.memory_info().rss, process.cpu_percent())
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
