"""Intervals for several configurations hold together, and stay those of one where there is one."""

import math

import numpy as np
import pytest

from effcomp.core.interval import Interval
from effcomp.core.pairs import pairs_interval
from effcomp.record.quantity import exact
from effcomp.record.upgrade import HOLDS_A_REPEAT_SINCE
from effcomp.report.choose.multiplicity import stretch, widened
from tests.conftest import altered, records

TRIES, CONFIGURATIONS = 600, 12


def holds(first: Interval, later: Interval) -> bool:
    return first.low <= later.value <= first.high


def test_the_intervals_of_twelve_configurations_over_three_pairs_hold_together_in_19_of_20_tries() -> None:
    logarithms = np.random.default_rng(0).normal(0, 0.01, (2 * TRIES, CONFIGURATIONS, 3))
    alone, again = (
        [[pairs_interval(list(map(exact, pairs))) for pairs in one] for one in np.exp(tries).tolist()]
        for tries in (logarithms[::2], logarithms[1::2])
    )
    together = [[stretch(interval, CONFIGURATIONS, geometric=True) for interval in one] for one in alone]

    def share(tries: list[list[Interval]]) -> float:
        return float(np.mean([all(map(holds, *pair)) for pair in zip(tries, again, strict=True)]))

    assert share(alone) < 0.65, "each at 95 %"
    assert 0.93 <= share(together) <= 0.975


def test_a_difference_has_the_normal_quantile_and_keeps_its_asymmetry() -> None:
    found = stretch(Interval(value=-0.2, low=-1.2, high=0.3), 10, geometric=False)
    factor = 2.80703 / 1.95996  # two-sided quantiles of 99.5 % and 95 %
    assert (found.low, found.high) == pytest.approx((-0.2 - factor, -0.2 + factor / 2), abs=1e-4)
    assert found.value == -0.2


def test_a_record_is_widened_in_every_section_and_not_for_a_single_configuration() -> None:
    record = altered(records("nf4")[0], {"schema_version": HOLDS_A_REPEAT_SINCE})
    assert widened(record, 1) == record
    wide = widened(record, 20)
    for before, after in [
        (record.speed.speedup, wide.speed.speedup),
        (record.speed.by_batch_size[1].latency_p50_ms, wide.speed.by_batch_size[1].latency_p50_ms),
        (record.versus_baseline.accuracy_difference, wide.versus_baseline.accuracy_difference),
    ]:
        assert after.low < before.low <= before.value == after.value <= before.high < after.high


def test_a_noisy_record_needs_a_larger_difference_in_speed_and_not_in_quality() -> None:
    record = altered(records("nf4")[0], {"schema_version": HOLDS_A_REPEAT_SINCE})
    wide = widened(altered(record, {"truth.conditions.noise": ["other processes used 0.50 cores"]}), 1)
    before, after = record.speed.speedup, wide.speed.speedup
    assert after.high / after.value == pytest.approx((before.high / before.value) ** 2)
    assert wide.versus_baseline == record.versus_baseline
    at_another_hour = before.model_copy(update={"between_measurements": 0.3})
    assert stretch(at_another_hour, 1, geometric=True, noise=2.0) == at_another_hour, "of noisy measurements already"


def test_the_interval_of_a_speed_stays_positive() -> None:
    wide = stretch(Interval(value=2.0, low=0.1, high=40.0), 3, geometric=True)
    assert 0 < wide.low < 0.1
    assert wide.high > 40


def test_speed_of_a_record_whose_intervals_left_out_a_repeat_is_widened_by_it() -> None:
    new = altered(records("nf4")[0], {"schema_version": HOLDS_A_REPEAT_SINCE})
    old = widened(altered(new, {"schema_version": HOLDS_A_REPEAT_SINCE - 1}), 1)
    before, after = new.speed.speedup, old.speed.speedup
    assert math.log(after.high / after.value) == pytest.approx(math.sqrt(2) * math.log(before.high / before.value))
    assert old.versus_baseline == new.versus_baseline
