"""The row of conditions is of the time in which pairs were timed, and names its noise."""

import os
from dataclasses import replace
from typing import Any

import numpy as np

from effcomp.measure.activity import Reading
from effcomp.measure.conditions import conditions
from effcomp.measure.disturbance import DisturbedTurns
from effcomp.measure.quiet import QuietWait
from effcomp.measure.timing import Timed
from effcomp.record import Energy, Load, Memory
from effcomp.record.trace import GpuSample, Sample
from tests.measure.test_activity import CPU, QUIET

START = Reading(
    seconds=100, busy_cpu_s=50, stolen_cpu_s=1, own_cpu_s=20, mhz=3000, throttle_events=0, gpu_throttled=False
)
MEMORY = Memory(
    peak_rss_bytes=3,
    library_rss_bytes=1,
    load_added_rss_bytes=1,
    inference_added_rss_bytes=1,
    baseline_peak_rss_bytes=3,
)
ENERGY = Energy(energy_per_sample_j="unavailable: no counter")


def timed(after: Reading, before: Reading = START, **changes: Any) -> Timed:
    """Return a pair that was timed between two readings."""
    made = Timed({}, None, MEMORY, Load(load_time_ms=1, first_call_ms=1), ENERGY, before, after, DisturbedTurns(6), [])
    return replace(made, **changes)


def later(reading: Reading, seconds: float, own_cpu_s: float, other_cpu_s: float) -> Reading:
    return replace(
        reading,
        seconds=reading.seconds + seconds,
        own_cpu_s=reading.own_cpu_s + own_cpu_s,
        busy_cpu_s=reading.busy_cpu_s + own_cpu_s + other_cpu_s,
    )


def test_the_work_between_two_pairs_is_not_that_of_the_measurement() -> None:
    """Other processes use two cores while this one waits for them to end."""
    end = later(START, seconds=10, own_cpu_s=10, other_cpu_s=0.1)
    start = later(end, seconds=20, own_cpu_s=0, other_cpu_s=40)
    pairs = [timed(end), timed(later(start, seconds=10, own_cpu_s=10, other_cpu_s=0.3), before=start)]
    found = conditions(CPU, pairs, QuietWait(CPU, 0))
    assert np.isclose(found.other_busy_cores, 0.02)
    assert np.isclose(found.free_cores or 0, len(os.sched_getaffinity(0)) - 0.02)
    assert (found.noise, found.waited_s, found.disturbances) == ([], 0, {})


def test_a_gpu_that_is_throttled_in_between_makes_a_run_noisy() -> None:
    idle, hot = (Sample(1, 0, 0, GpuSample(100, 80, 700, 10, throttle_reasons=bits)) for bits in (0x1, 0x40))
    end = later(START, seconds=10, own_cpu_s=10, other_cpu_s=0)
    quiet_wait = QuietWait(CPU, 0)
    assert conditions(CPU, [timed(end, trace=[idle])], quiet_wait).noise == []
    assert conditions(CPU, [timed(end), timed(end, trace=[idle, hot])], quiet_wait).noise == ["the GPU was throttled"]


def test_the_disturbed_turns_of_all_pairs_are_counted_by_their_reasons() -> None:
    end = later(START, seconds=10, own_cpu_s=10, other_cpu_s=0)
    first, second = DisturbedTurns(turns=2), DisturbedTurns(turns=2)
    first.again([0.5, 0.0], QUIET)
    for _ in range(2):
        second.again([0.5, None], replace(QUIET, throttle_events=1))
    found = conditions(CPU, [timed(end, disturbed_turns=first), timed(end, disturbed_turns=second)], QuietWait(CPU, 0))
    assert (found.repeated_turns, found.disturbed_turns) == (2, 1)
    assert found.disturbances == {"waiting for the processor": 3, "throttling": 2}
    assert found.waiting_counted is False
    assert found.noise == ["1 turns count although they were disturbed, besides 2 repeated"]
