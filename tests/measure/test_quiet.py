"""A measurement waits for a busy machine, so long and no longer."""

import time

import pytest

from effcomp.measure.quiet import WATCH_S, QuietWait
from tests.measure.test_activity import CPU, start_orphan


def test_a_busy_machine_is_waited_for_until_the_time_is_over() -> None:
    start_orphan(seconds=4)
    quiet_wait, began = QuietWait(CPU, longest_s=1), time.monotonic()
    quiet_wait.wait()
    assert 1 <= quiet_wait.waited_s < 1 + 3 * WATCH_S
    assert "other processes used" in quiet_wait.in_vain
    quiet_wait.wait()
    assert time.monotonic() - began < 1 + 6 * WATCH_S, "the second pair has no time of its own"


def test_waiting_says_why_and_for_how_long(caplog: pytest.LogCaptureFixture) -> None:
    start_orphan(seconds=2)
    caplog.set_level("INFO")
    QuietWait(CPU, longest_s=1).wait()
    said = [record.getMessage() for record in caplog.records]
    assert said[0].startswith("waiting at most 1 s until the machine is quiet (bench.quiet_wait_s): other processes")
    assert said[-1].startswith("not quiet after 1 s; measuring all the same")


def test_no_time_to_wait_watches_nothing() -> None:
    began = time.monotonic()
    quiet_wait = QuietWait(CPU, longest_s=0)
    quiet_wait.wait()
    assert time.monotonic() - began < WATCH_S / 2
    assert (quiet_wait.waited_s, quiet_wait.in_vain) == (0, "")
