"""Disturbed turns are measured again so often and no more."""

from dataclasses import replace

import pytest

from effcomp.measure.disturbance import DisturbedTurns, disturbances
from tests.measure.test_activity import QUIET

CALM, BUSY_SHARE = 0.01, 0.4


def test_a_disturbed_turn_is_measured_again_until_half_as_many_were() -> None:
    disturbed_turns = DisturbedTurns(turns=6)
    assert not disturbed_turns.again([CALM, CALM], QUIET)
    assert [disturbed_turns.again([CALM, BUSY_SHARE], QUIET) for _ in range(4)] == [True, True, True, False]
    assert (disturbed_turns.repeated, disturbed_turns.disturbed) == (3, 1)
    assert not disturbed_turns.again([CALM, CALM], QUIET)
    assert disturbed_turns.disturbed == 1
    assert disturbed_turns.reasons == {"waiting for the processor": 4}


def test_either_side_disturbs_a_turn() -> None:
    assert DisturbedTurns(turns=2).again([BUSY_SHARE, CALM], QUIET)
    assert DisturbedTurns(turns=2).again([CALM, BUSY_SHARE], QUIET)


def test_what_others_take_from_the_machine_disturbs_a_turn_where_no_thread_waits() -> None:
    for changes, reason in (
        ({"other_cpu_s": 0.2}, "other processes"),
        ({"stolen_cpu_s": 0.2}, "stolen time"),
        ({"throttle_events": 1}, "throttling"),
        ({"gpu_throttled": True}, "throttling"),
    ):
        assert disturbances([CALM, CALM], replace(QUIET, **changes)) == [reason]
    assert disturbances([], replace(QUIET, other_cpu_s=0.2)) == ["other processes"]


def test_what_a_quiet_machine_of_many_cores_has_disturbs_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.cpu_count", lambda: 128)
    assert disturbances([CALM], replace(QUIET, other_cpu_s=1.2 * QUIET.seconds, stolen_cpu_s=2.5 * QUIET.seconds)) == []
    assert disturbances([CALM], replace(QUIET, other_cpu_s=1.4 * QUIET.seconds)) == ["other processes"]


def test_a_few_ticks_of_the_kernels_clock_disturb_no_short_turn() -> None:
    assert disturbances([CALM, CALM], replace(QUIET, seconds=0.01, other_cpu_s=0.02)) == []


def test_where_the_kernel_does_not_count_no_waiting_is_judged() -> None:
    disturbed_turns = DisturbedTurns(turns=6)
    assert not disturbed_turns.again([None, None], QUIET)
    assert not disturbed_turns.counted
