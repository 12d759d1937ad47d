"""Pairs are added until the speed-up is precise, and its interval holds a repeat as often as without."""

import numpy as np
import pytest

from effcomp.core.interval import Interval
from effcomp.core.pairs import pairs_interval
from effcomp.measure.stopping import LOOKS, ends
from effcomp.record.quantity import exact

TRIES, EVERY = 600, 3


def measured(generator: np.random.Generator, deviation: float, precision: float) -> list[Interval]:
    """Return the speed-ups of the pairs of one measurement, whose true value is 1."""
    found: list[Interval] = []
    while not found or not ends(found, EVERY, precision):
        found.append(exact(float(np.exp(generator.normal(0, deviation)))))
    return found


@pytest.mark.parametrize("deviation", [0.01, 0.02, 0.04])
def test_the_interval_at_which_it_stops_holds_a_repeat_in_19_of_20_tries(deviation: float) -> None:
    generator = np.random.default_rng(0)
    tries = [measured(generator, deviation, precision=0.03) for _ in range(TRIES)]
    again = [float(np.exp(generator.normal(0, deviation / len(one) ** 0.5))) for one in tries]

    def share(looks: int) -> float:
        found = [pairs_interval(one, looks=looks) for one in tries]
        return float(np.mean([one.low <= value <= one.high for one, value in zip(found, again, strict=True)]))

    assert share(LOOKS) >= 0.95
    assert len({len(one) for one in tries}) > 1 or deviation == 0.04, "it stops at different looks"
    if deviation == 0.02:
        assert share(1) < 0.94, "at 95 % each it does not hold"


def test_it_looks_after_every_three_pairs_and_ends_after_twelve() -> None:
    steady, moving = [exact(2.0)] * 12, [exact(value) for value in (1.0, 2.0) * 6]
    assert [ends(steady[:count], EVERY, 0.02) for count in range(1, 4)] == [False, False, True]
    assert [count for count in range(1, 13) if ends(moving[:count], EVERY, 0.02)] == [12]
