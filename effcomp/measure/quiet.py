"""Waiting until the machine is quiet, before a pair of processes is started."""

import logging
import time

from effcomp.core.device import Device
from effcomp.measure.activity import Activity, read_counters

log = logging.getLogger(__name__)

WATCH_S = 0.5
"""Time for which the machine is watched at once, in seconds."""


class QuietWait:
    """Time to wait until the machine is quiet, for all pairs of one measurement together."""

    def __init__(self, device: Device, longest_s: float) -> None:
        """Grant `longest_s` seconds; 0: the machine is not watched."""
        self.device, self.longest_s = device, longest_s
        self.waited_s = 0.0
        """Seconds of waiting so far; a machine that is quiet at first sight takes none."""
        self.in_vain = ""
        """Reasons of the last look, where the time ended before the machine was quiet."""

    def wait(self) -> None:
        """Wait until the machine is quiet for WATCH_S, or the time is over; log the reason and the time."""
        if self.longest_s == 0:
            return
        noise, began = self.look(), time.monotonic()
        if not noise:
            return
        left_s = max(0.0, self.longest_s - self.waited_s)
        if left_s:
            log.info("waiting at most %.0f s until the machine is quiet (bench.quiet_wait_s): %s", left_s, noise)
        while noise and time.monotonic() < began + left_s:
            noise = self.look()
        self.waited_s += time.monotonic() - began
        self.in_vain = noise or self.in_vain
        if noise:
            log.warning("not quiet after %.0f s; measuring all the same, the record says noisy", self.waited_s)
        else:
            log.info("quiet after %.0f s", self.waited_s)

    def look(self) -> str:
        """Watch the machine for WATCH_S; return why it is not quiet, empty where it is."""
        before = read_counters(self.device)
        time.sleep(WATCH_S)
        return "; ".join(Activity.between(before, read_counters(self.device)).noise())
