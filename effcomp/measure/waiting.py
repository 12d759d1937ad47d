"""Waiting of the measured process for the processor, which tells a disturbed turn.

The kernel counts, for each thread and in nanoseconds, how long it was ready to run while other work held the processor
(the second number of /proc/self/task/*/schedstat; Linux, Documentation/scheduler/sched-stats.rst). A waiting thread
delays all of its pool, because the pool synchronizes after each operator.
"""

import contextlib
from pathlib import Path

THREADS = Path("/proc/self/task")


def waited_ns() -> int | None:
    """Return how long the threads of this process have waited for the processor; None where the kernel does not count
    it."""
    waited = []
    for thread in THREADS.glob("*"):
        with contextlib.suppress(OSError, IndexError):  # it has ended, or the kernel does not count
            waited.append(int((thread / "schedstat").read_text().split()[1]))
    return sum(waited) if waited else None


def waited_share(before_ns: int | None, times_ns: list[int]) -> float | None:
    """Return the waiting since a reading of `waited_ns`, as a share of the time measured since then."""
    now_ns = waited_ns()
    return None if before_ns is None or now_ns is None else max(0, now_ns - before_ns) / sum(times_ns)
