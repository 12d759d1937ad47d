"""The deviation between measurements is that of repeats on a machine that is as quiet or as noisy."""

import math

import pytest

from effcomp.core.pairs import Deviation
from effcomp.pipeline.between import between_repeats

QUIET = [(10.0, False), (11.0, False), (12.5, False)]
NOISY = [(20.0, True), (14.0, True)]


def test_quiet_repeats_have_their_standard_deviation_whatever_noisy_ones_did() -> None:
    expected = Deviation.of([time for time, _ in QUIET])
    for times in (QUIET, QUIET + NOISY, NOISY + QUIET):
        found = between_repeats(times, noisy=False)
        assert found is not None and found.model_dump() == pytest.approx(expected.model_dump())


def test_a_noisy_repeat_differs_from_quiet_ones_too() -> None:
    others = [[time for time, _ in QUIET + NOISY if time != own] for own, _ in NOISY]
    squares = [math.log(own / other) ** 2 for (own, _), group in zip(NOISY, others, strict=True) for other in group]
    found = between_repeats(QUIET + NOISY, noisy=True)
    assert found is not None and found.degrees == 1
    assert found.deviation == pytest.approx(math.sqrt(sum(squares) / len(squares) / 2))
    alone = between_repeats(NOISY, noisy=True)
    assert alone is not None and alone.model_dump() == pytest.approx(Deviation.of([20.0, 14.0]).model_dump())


@pytest.mark.parametrize("noisy", [False, True])
def test_one_measurement_shows_no_deviation(noisy: bool) -> None:
    assert between_repeats([(10.0, noisy), (20.0, not noisy)], noisy) is None
