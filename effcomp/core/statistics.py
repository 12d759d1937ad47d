"""Intervals and tests, paired by example or by turn, on top of scipy.

Bootstrap intervals are BCa (Efron 1987) for means and F1, and percentile intervals over whole turns
for latencies, because calls within one turn are correlated through the machine's state.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from effcomp.core.interval import NORMAL_975, Interval

RESAMPLES = 2000
RESAMPLED_AT_ONCE = 1_000_000
"""Numbers of resamples that are held in memory together."""
FEW = 30
"""Units, examples or blocks, below which the bootstrap's interval is too narrow."""
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def mean_interval(values: Floats, seed: int) -> Interval:
    """Return the mean of one value per example, with its BCa interval."""
    return bca_interval((values,), lambda sample, axis: np.asarray(sample.mean(axis=axis)), seed)


def ratio_of_sums(numerators: Floats, denominators: Floats, seed: int) -> Interval:
    """Return sum(numerators) / sum(denominators) with its BCa interval over the pairs: say the loss per token, over
    blocks.
    """

    def ratio(above: Floats, below: Floats, axis: int) -> Floats:
        return np.asarray(above.sum(axis=axis) / below.sum(axis=axis))

    return bca_interval((numerators, denominators), ratio, seed)


def f1_interval(predictions: Ints, labels: Ints, classes: int, seed: int) -> Interval:
    """Return macro-F1 with its BCa interval over examples."""

    def f1(predicted: Ints, true: Ints, axis: int) -> Floats:
        return macro_f1(predicted, true, classes, axis)

    return as_share(bca_interval((predictions, labels), f1, seed))


def macro_f1(predictions: Ints, labels: Ints, classes: int, axis: int) -> Floats:
    """Return the mean of 2 TP / (2 TP + FP + FN) along an axis, over the classes that occur among predictions or
    labels.
    """
    hits, totals = [], []
    for label in range(classes):
        predicted, true = predictions == label, labels == label
        hits.append((predicted & true).sum(axis=axis))
        totals.append(predicted.sum(axis=axis) + true.sum(axis=axis))
    present = np.array(totals) > 0
    scores = np.where(present, 2 * np.array(hits) / np.maximum(totals, 1), 0.0)
    return np.asarray(scores.sum(axis=0) / present.sum(axis=0))


def bca_interval(samples: tuple[NDArray[Any], ...], statistic: Callable[..., Floats], seed: int) -> Interval:
    """Return a statistic of samples that are resampled together, with its BCa interval; [value, value] when every
    resample gives the same number.

    No resample lies outside the values, so that of few units the interval is too narrow: with fewer than FEW it is the
    wider one of that and of the jackknife's t interval (Efron and Tibshirani 1993, "An Introduction to the Bootstrap",
    chapter 11), which is the usual one for a mean.

    Args:
        statistic: (*samples, axis) -> the statistic along that axis.
    """
    interval = bootstrap_interval(samples, statistic, seed)
    if len(samples[0]) >= FEW:
        return interval
    low, high = jackknife_bounds(samples, statistic)
    return interval.model_copy(update={"low": min(low, interval.low), "high": max(high, interval.high)})


def jackknife_bounds(samples: tuple[NDArray[Any], ...], statistic: Callable[..., Floats]) -> tuple[float, float]:
    """Return the t interval of a statistic with the jackknife's standard error, from the samples without one unit
    each."""
    from scipy.stats import t

    count, value = len(samples[0]), float(statistic(*samples, axis=-1))
    without = np.array([statistic(*(np.delete(one, index) for one in samples), axis=-1) for index in range(count)])
    error = math.sqrt((count - 1) / count * float(((without - without.mean()) ** 2).sum()))
    half = float(t.isf(0.025, count - 1)) * error
    return value - half, value + half


def bootstrap_interval(samples: tuple[NDArray[Any], ...], statistic: Callable[..., Floats], seed: int) -> Interval:
    """Return a statistic with its BCa interval (see `bca_interval`)."""
    from scipy.stats import bootstrap

    value = float(statistic(*samples, axis=-1))
    with warnings.catch_warnings():
        # BCa divides by the spread of the jackknife, which is 0 when all values are equal.
        warnings.simplefilter("ignore")
        interval = bootstrap(
            samples,
            statistic,
            paired=len(samples) > 1,
            vectorized=True,
            n_resamples=RESAMPLES,
            method="BCa",
            batch=100,
            rng=seed,
        ).confidence_interval
    if np.isnan(interval.low) or np.isnan(interval.high):
        return Interval(value=value, low=value, high=value)
    return Interval(value=value, low=float(interval.low), high=float(interval.high))


def paired_difference(baseline_right: NDArray[np.bool_], variant_right: NDArray[np.bool_]) -> Interval:
    """Return the difference of two accuracies on the same examples, with the adjusted Wald interval of Bonett and Price
    (2012, "Adjusted Wald Confidence Interval for a Difference of Binomial Proportions Based on Paired Data", equation
    4). It has a width even where no prediction flipped; a bootstrap interval has none there.
    """
    count = len(baseline_right)
    lost = (int((baseline_right & ~variant_right).sum()) + 1) / (count + 2)
    won = (int((~baseline_right & variant_right).sum()) + 1) / (count + 2)
    half = NORMAL_975 * math.sqrt((won + lost - (won - lost) ** 2) / (count + 2))
    value = float(variant_right.mean() - baseline_right.mean())
    return Interval(value=value, low=max(-1.0, won - lost - half), high=min(1.0, won - lost + half))


def accuracy_interval(right: NDArray[np.bool_], seed: int) -> Interval:
    """Return the share of correct predictions, with its BCa interval; Wilson's where all are right, or all wrong."""
    if right.all() or not right.any():
        from scipy.stats import binomtest

        value = float(right.mean())
        low, high = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
        return Interval(value=value, low=min(float(low), value), high=max(float(high), value))  # but for rounding
    return as_share(mean_interval(right.astype(float), seed))


def as_share(interval: Interval) -> Interval:
    """Return the part of an interval between 0 and 1."""
    return interval.model_copy(update={"low": max(0.0, interval.low), "high": min(1.0, interval.high)})


def mcnemar_p(baseline_right: NDArray[np.bool_], variant_right: NDArray[np.bool_]) -> float:
    """Return the p-value of McNemar's exact test on paired outcomes: a binomial test of the pairs that differ."""
    from scipy.stats import binomtest

    lost, won = int((baseline_right & ~variant_right).sum()), int((~baseline_right & variant_right).sum())
    return float(binomtest(lost, lost + won).pvalue) if lost + won else 1.0


def f1_difference(baseline: Ints, variant: Ints, labels: Ints, classes: int, seed: int) -> Interval:
    """Return macro-F1 of the variant minus the baseline's on the same examples: the paired bootstrap, BCa."""

    def difference(before: Ints, after: Ints, true: Ints, axis: int) -> Floats:
        return macro_f1(after, true, classes, axis) - macro_f1(before, true, classes, axis)

    return bca_interval((baseline, variant, labels), difference, seed)


def holm(p_values: list[float]) -> list[float]:
    """Correct the p-values of several tests, so that the chance of any false alarm among them stays under the level
    (Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure")."""
    order = np.argsort(p_values)
    steps = np.array(p_values)[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected.tolist()


def verdict(difference: Interval, margin: float) -> Literal["not worse", "worse", "undecided"]:
    """Judge non-inferiority by the 95 % interval of the difference (variant minus baseline; higher is better)."""
    if difference.low > -margin:
        return "not worse"
    return "worse" if difference.high < -margin else "undecided"


def median_interval(times: Floats, seed: int) -> Interval:
    """Return the median of all calls, its interval from resampling turns. times: (turns, calls)."""
    return over_turns(times, lambda calls: np.median(calls, axis=1), seed)


def ratio_interval(baseline: Floats, variant: Floats) -> Interval:
    """Return how many times faster the variant is in one pair of processes: the median over turns of the turn's median
    ratio.

    Each ratio compares two calls on the same batch, in consecutive turns, so that the length of the texts and a slow
    minute of the machine cancel. The interval is that of order statistics: exact for any distribution of independent
    turns (Conover 1999, "Practical Nonparametric Statistics", section 3.2; scipy.stats.quantile_test). It holds within
    these two processes; `effcomp.core.pairs` tells what others would show.

    Args:
        baseline, variant: times of (turns, calls), call for call on the same batches; at least 6 turns.
    """
    from scipy.stats import quantile_test

    ratios = np.median(baseline / variant, axis=1)
    value = float(np.median(ratios))
    interval = quantile_test(ratios, q=1.0, p=0.5).confidence_interval(0.95)
    return Interval(value=value, low=interval.low, high=interval.high)


def over_turns(times: Floats, statistic: Callable[[Floats], Any], seed: int) -> Interval:
    """Return a statistic of the calls of whole turns, with the percentile interval over resampled turns.

    Args:
        times: (turns, calls).
        statistic: (resamples, calls of all turns) -> (resamples,).
    """
    turns, resamples = np.random.default_rng(seed).integers(0, len(times), (RESAMPLES, len(times))), []
    for rows in np.array_split(turns, math.ceil(turns.size * times.shape[1] / RESAMPLED_AT_ONCE)):
        resamples.append(statistic(times[rows].reshape(len(rows), -1)))
    low, high = np.quantile(np.concatenate(resamples), [0.025, 0.975])
    return Interval(value=float(statistic(times.reshape(1, -1))[0]), low=float(low), high=float(high))


def repeated_interval(values: Floats, test_over_train: float) -> Interval:
    """Return the mean of one number over seeds or folds, with its t interval.

    Folds share most of their training examples, so their spread alone is too small: the variance of the mean is
    (1 / n + test / train) s^2 (Nadeau and Bengio 2003, "Inference for the Generalization Error", section 3).

    Args:
        values: at least 2.
        test_over_train: test examples over training examples of a fold; 0 for seeds, whose interval holds
            the mean over all seeds and says nothing about other examples.
    """
    from scipy.stats import t

    count = len(values)
    half = float(t.ppf(0.975, count - 1) * values.std(ddof=1) * math.sqrt(1 / count + test_over_train))
    mean = float(values.mean())
    return Interval(value=mean, low=mean - half, high=mean + half)
