"""Intervals over pairs of processes hold a repeat as often as they promise, and know no unit and no order."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from effcomp.core.interval import Interval
from effcomp.core.measurements import over_measurements
from effcomp.core.pairs import PRIOR, Deviation, over_pairs, pairs_interval
from effcomp.core.statistics import Floats, ratio_interval

TRIES = 800
BAND = (0.93, 0.97)


def simulated(generator: np.random.Generator, shape: tuple[int, ...], between: float, within: float) -> Floats:
    """Logarithms of turns' ratios, (..., turns), around 0: an error for each pair, and one for each turn."""
    return generator.normal(0, between, (*shape[:-1], 1)) + generator.normal(0, within, shape)


def of_turns(logarithms: Floats) -> Interval:
    """The ratio of one pair whose turns have these."""
    return ratio_interval(np.exp(logarithms)[:, None], np.ones((len(logarithms), 1)))


def held(first: Sequence[Interval], again: Sequence[Interval]) -> float:
    """Share of repeats whose value lies in the interval of the first measurement."""
    return float(np.mean([one.low <= other.value <= one.high for one, other in zip(first, again, strict=True)]))


def without_interval(value: float) -> Interval:
    return Interval(value=value, low=value, high=value)


@pytest.mark.parametrize("pairs", [2, 3, 5])
@pytest.mark.parametrize(("between", "within"), [(0.0, 0.03), (0.01, 0.03), (0.03, 0.01)])
def test_the_interval_over_pairs_holds_a_repeat_in_19_of_20_tries(pairs: int, between: float, within: float) -> None:
    generator = np.random.default_rng(pairs)
    tries = simulated(generator, (2 * TRIES, pairs, 12), between, within)
    medians = np.exp(np.median(tries, axis=2))
    found = [pairs_interval([without_interval(value) for value in one]) for one in medians]
    assert BAND[0] <= held(found[::2], found[1::2]) <= BAND[1]


@pytest.mark.parametrize(("between", "within"), [(0.02, 0.03), (0.03, 0.01)])
def test_one_pair_holds_a_repeat_by_the_known_deviation(between: float, within: float) -> None:
    first, again = [], []
    for one, repeat, *others in simulated(np.random.default_rng(1), (TRIES, 7, 15), between, within):
        known = Deviation.of([float(np.exp(np.median(other))) for other in others])
        first.append(pairs_interval([of_turns(one)], known))
        again.append(without_interval(float(np.exp(np.median(repeat)))))
    assert BAND[0] <= held(first, again) <= BAND[1]


def test_turns_alone_do_not_hold_what_another_pair_shows() -> None:
    tries = simulated(np.random.default_rng(2), (TRIES, 15), between=0.03, within=0.01)
    assert np.mean([one.low <= 1 <= one.high for one in map(of_turns, tries)]) < 0.5


def test_a_pair_that_is_noisier_than_the_known_difference_keeps_its_own_interval() -> None:
    noisy = Interval(value=1.0, low=0.5, high=1.9)
    found = pairs_interval([noisy], Deviation(deviation=0.001, degrees=4))
    wider = (1.0, 0.5**2**0.5, 1.9**2**0.5)  # a repeat has other turns too
    assert (found.value, found.low, found.high, found.degrees) == (*map(pytest.approx, wider), 4)


def test_the_deviation_between_one_pair_is_refused() -> None:
    with pytest.raises(ValidationError):
        Deviation(deviation=0.1, degrees=0)


def test_one_pair_has_the_prior_until_measured_deviations_outweigh_it() -> None:
    alone, steady = Interval(value=2.0, low=2.0, high=2.0), Deviation(deviation=0.02, degrees=2)
    widths = []
    for measured in (0, 1, 10, 1000):
        found = pairs_interval([alone], Deviation.pooled([PRIOR, *measured * [steady]]))
        widths.append(found.high / found.low)
    assert pairs_interval([alone]).high == pytest.approx(2 * np.exp(2.776445 * 0.06 * 2**0.5)), "t of four degrees"
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == pytest.approx(np.exp(2 * 1.96 * 0.02 * 2**0.5), rel=1e-3)


@given(st.lists(st.floats(0.01, 1e4), min_size=2, max_size=6), st.sampled_from([1e-3, 7.0]))
def test_an_interval_over_pairs_knows_no_unit_and_turns_with_its_sides(values: list[float], unit: float) -> None:
    def of(values: list[float]) -> Interval:
        return pairs_interval([without_interval(value) for value in values])

    found, scaled, back = of(values), of([one * unit for one in values]), of([1 / one for one in values])
    assert min(values) * (1 - 1e-9) <= found.value <= max(values) * (1 + 1e-9)
    assert (scaled.value, scaled.low, scaled.high) == pytest.approx(
        (found.value * unit, found.low * unit, found.high * unit)
    )
    assert (back.value, back.low, back.high) == pytest.approx((1 / found.value, 1 / found.high, 1 / found.low))


def test_a_number_of_a_single_pair_has_an_interval_where_the_deviation_between_pairs_is_known() -> None:
    assert over_pairs([3.0]) == 3.0
    found = over_pairs([3.0], Deviation(deviation=0.01, degrees=4))
    assert isinstance(found, Interval)
    assert found.high == pytest.approx(3 * np.exp(2.776445 * 0.01 * 2**0.5))


def test_a_number_that_is_0_in_a_pair_has_the_interval_of_its_mean() -> None:
    found = over_pairs([0.0, 4.0, 5.0])
    assert isinstance(found, Interval)
    assert (found.value, found.low, found.high) == (3, 0, pytest.approx(3 + 4.302653 * 7**0.5 * (2 / 3) ** 0.5))
    above = over_pairs([4.0, 9.0])
    assert isinstance(above, Interval)
    assert above.value == pytest.approx(6.0)
    assert over_pairs([0.0]) == 0.0


@pytest.mark.parametrize("looks", [1, 4])
def test_the_deviation_between_pairs_follows_from_their_interval(looks: int) -> None:
    values = [1.0, 1.1, 1.3]
    interval = pairs_interval([without_interval(value) for value in values], looks=looks)
    wider = over_measurements(interval, Deviation(deviation=0.5, degrees=9), looks)
    for found in (interval, wider):
        between = Deviation.from_interval(found, len(values), looks)
        assert between.model_dump() == pytest.approx(Deviation.of(values).model_dump())
