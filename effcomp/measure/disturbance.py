"""Turns disturbed by other processes: detected, and measured again by a rule fixed beforehand.

The kernel counts, for each thread and in nanoseconds, how long it was ready to run while other work held the processor
(the second number of /proc/self/task/*/schedstat; Linux, Documentation/scheduler/sched-stats.rst). A waiting thread
delays all of its pool, because the pool synchronizes after each operator.
"""

import contextlib
from pathlib import Path

THREADS = Path("/proc/self/task")
DISTURBED_SHARE = 0.1
"""Share of a turn's time: threads that wait longer disturb the turn."""


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


class Repeats:
    """Rule by which disturbed turns are measured again: all of them, until half as many were repeated as are measured.

    A machine that is never quiet takes one and a half times as long, and its record reports the disturbed turns.
    """

    def __init__(self, turns: int) -> None:
        """Allow half as many repetitions as there are turns to measure."""
        self.left, self.repeated, self.disturbed, self.counted = turns // 2, 0, 0, True

    def again(self, waited_shares: list[float | None]) -> bool:
        """Decide whether a turn is measured again; waited_shares: share of waiting in each side's time, None where
        unknown.
        """
        known = [share for share in waited_shares if share is not None]
        self.counted = self.counted and len(known) == len(waited_shares)
        if not known or max(known) <= DISTURBED_SHARE:
            return False
        if self.left == 0:
            self.disturbed += 1
            return False
        self.left -= 1
        self.repeated += 1
        return True
