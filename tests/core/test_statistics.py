"""Intervals and tests against the libraries they come from and against worked examples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.stats import bootstrap
from sklearn.metrics import f1_score

from effcomp.core import statistics
from effcomp.core.interval import Interval

generator = np.random.default_rng(7)


def test_the_interval_of_a_share_agrees_with_the_exact_binomial_one() -> None:
    right = np.r_[np.ones(830), np.zeros(170)]
    interval = statistics.mean_interval(right, seed=0)
    exact = stats.binomtest(830, 1000).proportion_ci(method="wilson")
    assert interval.value == 0.83
    assert interval.low == pytest.approx(exact.low, abs=0.003)
    assert interval.high == pytest.approx(exact.high, abs=0.003)


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert statistics.mean_interval(np.zeros(50), seed=0) == Interval(value=0, low=0, high=0)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_mean_of_a_few_values_lies_in_19_of_20_intervals(count: int) -> None:
    generator = np.random.default_rng(0)
    found = [statistics.mean_interval(generator.normal(1.0, 1.0, count), seed=0) for _ in range(200)]
    assert sum(one.low <= 1.0 <= one.high for one in found) >= 0.91 * len(found), "the bootstrap's: 50 to 94 %"


def test_a_share_of_a_few_examples_stays_a_share() -> None:
    found = statistics.accuracy_interval(np.array([True, True, False]), seed=0)
    assert (found.low, found.high) == (0.0, 1.0)


def test_macro_f1_agrees_with_scikit_learn() -> None:
    true, predicted = generator.integers(0, 3, 200), generator.integers(0, 3, 200)
    expected = f1_score(true, predicted, average="macro")
    interval = statistics.f1_interval(predicted, true, classes=3, seed=0)
    assert interval.value == pytest.approx(expected)
    assert interval.low < expected < interval.high


def test_mcnemar_on_a_worked_example() -> None:
    # Agresti, Categorical Data Analysis (1990), table 10.1: 794 and 570 agree, 150 against 86 changed.
    baseline = np.r_[np.ones(794), np.ones(150), np.zeros(86), np.zeros(570)].astype(bool)
    variant = np.r_[np.ones(794), np.zeros(150), np.ones(86), np.zeros(570)].astype(bool)
    assert statistics.mcnemar_p(baseline, variant) == pytest.approx(stats.binomtest(86, 236).pvalue)
    assert statistics.mcnemar_p(baseline, variant) == pytest.approx(3.7e-5, rel=0.05)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-0.004, 0.01, "not worse"), (-0.02, -0.006, "worse"), (-0.02, 0.01, "undecided"), (0.0, 0.0, "not worse")],
)
def test_the_verdict_is_by_the_whole_interval(low: float, high: float, expected: str) -> None:
    assert statistics.verdict(Interval(value=(low + high) / 2, low=low, high=high), margin=0.005) == expected


def noisy_times(turns: int) -> np.ndarray:
    """Calls of different lengths on a machine whose speed drifts: (turns, 4) milliseconds."""
    drift = np.exp(np.cumsum(generator.normal(0, 0.05, turns)))
    return drift[:, None] * generator.uniform(5, 20, (turns, 4))


@pytest.mark.parametrize("slowdown", [1.0, 1.3])
def test_the_speedup_interval_holds_the_truth_in_19_of_20_tries(slowdown: float) -> None:
    held = 0
    for _ in range(200):
        times = noisy_times(15)
        noise = np.exp(generator.normal(0, 0.05, (2, *times.shape)))
        interval = statistics.ratio_interval(times * slowdown * noise[0], times * noise[1])
        held += interval.low <= slowdown <= interval.high
    # 95 % or more is promised; of 200 tries with 95 % each, fewer than 182 come in 1 of 100 cases.
    assert held >= 182


def test_the_median_interval_widens_with_the_noise_between_turns() -> None:
    calm = statistics.median_interval(10 + generator.normal(0, 0.1, (20, 5)), seed=0)
    wild = statistics.median_interval(10 + generator.normal(0, 2, (20, 1)) + np.zeros((20, 5)), seed=0)
    assert calm.low < 10.1
    assert calm.high - calm.low < 0.2 < wild.high - wild.low


def test_holm_on_a_worked_example() -> None:
    """R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")."""
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([]) == []


def test_the_paired_difference_of_f1_is_scipys_bootstrap_of_scikit_learns_f1() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 120)
    before = np.where(generator.random(120) < 0.8, labels, generator.integers(0, 3, 120))
    after = np.where(generator.random(120) < 0.9, before, generator.integers(0, 3, 120))

    def difference(b: np.ndarray, a: np.ndarray, t: np.ndarray) -> float:
        return f1_score(t, a, average="macro") - f1_score(t, b, average="macro")

    found = statistics.f1_difference(before, after, labels, 3, seed=0)
    expected = bootstrap((before, after, labels), difference, paired=True, vectorized=False, n_resamples=400, rng=1)
    assert found.value == pytest.approx(difference(before, after, labels))
    assert found.low == pytest.approx(expected.confidence_interval.low, abs=0.02)
    assert found.high == pytest.approx(expected.confidence_interval.high, abs=0.02)


OUTCOMES = st.integers(2, 40).flatmap(lambda count: st.tuples(*[arrays(bool, count)] * 2))
TIMES = st.integers(6, 12).flatmap(lambda turns: arrays(float, (2, turns, 3), elements=st.floats(0.01, 1e4)))
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


@given(OUTCOMES)
def test_a_paired_difference_lies_in_its_interval_and_turns_with_its_sides(pair: tuple[np.ndarray, ...]) -> None:
    there, back = statistics.paired_difference(*pair), statistics.paired_difference(*pair[::-1])
    assert -1 <= there.low <= there.high <= 1
    assert there.low < there.high
    assert there.low - 1e-12 <= there.value <= there.high + 1e-12
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low))


@given(OUTCOMES)
def test_mcnemar_knows_no_direction_and_nothing_of_equals(pair: tuple[np.ndarray, ...]) -> None:
    before, after = pair
    p = statistics.mcnemar_p(before, after)
    assert 0 <= p <= 1 + 1e-12
    assert p == pytest.approx(statistics.mcnemar_p(after, before))
    assert statistics.mcnemar_p(before, before) == 1


@given(TIMES, st.sampled_from([1e-3, 3.0, 1e6]))
def test_a_speed_up_knows_no_unit_and_turns_with_its_sides(times: np.ndarray, unit: float) -> None:
    found = statistics.ratio_interval(*times)
    assert found.low <= found.value <= found.high
    scaled = statistics.ratio_interval(*(times * unit))
    assert (scaled.value, scaled.low, scaled.high) == pytest.approx((found.value, found.low, found.high))
    same = statistics.ratio_interval(times[0], times[0])
    assert (same.value, same.low, same.high) == (1, 1, 1)


@settings(max_examples=15)
@given(P_VALUES)
def test_holm_raises_every_p_and_keeps_their_order(p_values: list[float]) -> None:
    corrected = statistics.holm(p_values)
    for raw, new in zip(p_values, corrected, strict=True):
        assert raw <= new + 1e-12
        assert new <= min(1, raw * len(p_values)) + 1e-12
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(corrected)[order]) >= 0).all()


@settings(max_examples=15)
@given(arrays(bool, st.integers(2, 30)), st.integers(0, 5))
def test_a_share_and_its_interval_lie_between_0_and_1(right: np.ndarray, seed: int) -> None:
    found = statistics.accuracy_interval(right, seed)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found == statistics.accuracy_interval(right, seed)


@given(arrays(float, st.integers(2, 10), elements=st.floats(-1e6, 1e6)), st.sampled_from([0.0, 0.25]))
def test_the_interval_over_seeds_is_around_the_mean_and_folds_make_it_wider(values: np.ndarray, share: float) -> None:
    found, alone = statistics.repeated_interval(values, share), statistics.repeated_interval(values, 0)
    assert found.low <= alone.low <= alone.value <= alone.high <= found.high
    assert found.value - found.low == pytest.approx(found.high - found.value)
