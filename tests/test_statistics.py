"""Intervals and tests against the libraries they come from and against worked examples."""

import numpy as np
import pytest
from scipy import stats
from scipy.stats import bootstrap
from sklearn.metrics import f1_score

from effcomp import statistics
from effcomp.record import Interval

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
