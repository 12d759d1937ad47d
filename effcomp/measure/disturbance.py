"""Rule by which disturbed turns are dropped and measured again. It is fixed before the first turn."""

from collections import Counter
from collections.abc import Sequence

import psutil

from effcomp.measure.activity import BUSY_SHARE, STOLEN_SHARE, Activity
from effcomp.record.truth import Disturbance

WAITING_SHARE = 0.1
"""Share of a turn's time: threads that wait longer for the processor disturb the turn."""
TAKEN_CORES = 0.25
"""Cores that other processes, or other virtual machines, take in a turn: more disturb it, where they are also a larger
share of all than a quiet machine has (BUSY_SHARE, STOLEN_SHARE)."""
RESOLUTION_S = 0.05
"""Processor time below which the kernel's clock ticks (10 ms, on each core) do not tell whose it was, in seconds."""


def disturbances(waited_shares: Sequence[float], activity: Activity) -> list[Disturbance]:
    """Return the reasons for which a turn is dropped; none where it counts.

    Args:
        waited_shares: share of waiting for the processor in each side's time, where the kernel counts it.
        activity: that of the machine during the turn of both sides.
    """
    cores = psutil.cpu_count() or 1

    def limit_s(share: float) -> float:
        return max(max(TAKEN_CORES, share * cores) * activity.seconds, RESOLUTION_S)

    found: dict[Disturbance, bool] = {
        "waiting for the processor": max(waited_shares, default=0) > WAITING_SHARE,
        "other processes": activity.other_cpu_s > limit_s(BUSY_SHARE),
        "stolen time": activity.stolen_cpu_s > limit_s(STOLEN_SHARE),
        "throttling": activity.throttle_events > 0 or activity.gpu_throttled,
    }
    return [reason for reason, holds in found.items() if holds]


class DisturbedTurns:
    """Counts of disturbed turns, which are measured again until half as many were repeated as are measured.

    A machine that is never quiet takes one and a half times as long, and its record reports the disturbed turns.
    """

    def __init__(self, turns: int) -> None:
        """Allow half as many repetitions as there are turns to measure."""
        self.left, self.repeated, self.disturbed, self.counted = turns // 2, 0, 0, True
        self.reasons = Counter[Disturbance]()

    def again(self, waited_shares: list[float | None], activity: Activity) -> bool:
        """Decide whether a turn is measured again (`disturbances`); waited_shares: None where unknown."""
        known = [share for share in waited_shares if share is not None]
        self.counted = self.counted and len(known) == len(waited_shares)
        reasons = disturbances(known, activity)
        self.reasons.update(reasons)
        if not reasons:
            return False
        if self.left == 0:
            self.disturbed += 1
            return False
        self.left -= 1
        self.repeated += 1
        return True
