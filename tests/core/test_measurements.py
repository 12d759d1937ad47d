"""Intervals of times hold a repeat at another hour, and show what they add to the pairs'."""

import numpy as np
import pytest

from effcomp.core.interval import Interval
from effcomp.core.measurements import PRIOR, over_measurements
from effcomp.core.pairs import Deviation, pairs_interval
from effcomp.record.quantity import exact

TRIES = 600


@pytest.mark.parametrize("pairs", [1, 3])
@pytest.mark.parametrize(("drift", "between"), [(0.1, 0.036), (0.05, 0.05), (0.0, 0.05)])
def test_the_interval_of_a_time_holds_a_repeat_at_an_hour_of_another_speed(
    pairs: int, drift: float, between: float
) -> None:
    generator = np.random.default_rng(pairs)
    hours = generator.normal(0, drift, (TRIES, 22, 1)) + generator.normal(0, between, (TRIES, 22, pairs))
    alone, wider = [], []
    for first, repeat, *baselines in np.exp(hours).tolist():
        known = Deviation.of([float(np.exp(np.log(one).mean())) for one in baselines])
        found = pairs_interval(list(map(exact, first)), Deviation(deviation=between, degrees=40))
        again = float(np.exp(np.log(repeat).mean()))
        for held, interval in (alone, found), (wider, over_measurements(found, known)):
            held.append(interval.low <= again <= interval.high)
    assert np.mean(wider) >= 0.94
    assert drift <= between or np.mean(alone) < 0.8


def test_an_interval_over_measurements_holds_both_deviations_with_their_degrees() -> None:
    pairs = pairs_interval(list(map(exact, (1.0, 1.1, 1.2))))
    found = over_measurements(pairs, PRIOR)
    of_pairs, of_measurements = Deviation.of([1.0, 1.1, 1.2]).deviation ** 2 / 3, PRIOR.deviation**2
    total = of_pairs + of_measurements
    assert found.degrees == int(total**2 / (of_pairs**2 / 2 + of_measurements**2 / 4)) == 5
    assert found.high == pytest.approx(found.value * np.exp(2.570582 * (2 * total) ** 0.5)), "t of five degrees"
    assert (found.value, found.between_measurements) == (pairs.value, PRIOR.deviation)
    assert found.low * found.high == pytest.approx(found.value**2)
    steady = over_measurements(pairs, Deviation(deviation=0.0, degrees=4))
    assert (steady.low, steady.high, steady.degrees) == (*map(pytest.approx, (pairs.low, pairs.high)), 2)


def test_a_pair_whose_turns_reach_further_up_than_down_still_does() -> None:
    found = over_measurements(Interval(value=1.0, low=0.9, high=2.0, degrees=4), PRIOR)
    assert found.low < 0.9 and found.high > 2.0
    assert found.value / found.low < found.high / found.value


def test_a_number_without_a_logarithm_keeps_its_interval() -> None:
    mean = Interval(value=0.5, low=-1.0, high=2.0)
    assert over_measurements(mean, PRIOR) == mean
