"""Intervals over pairs of fresh processes.

A process keeps for life what it was given at its start (the location of its memory, the cores of its threads), so all
turns of a pair share an error that more turns do not average out.

An interval says where the same measurement, made again, would lie. It is a prediction interval for the mean of as many
pairs (Meeker, Hahn and Escobar 2017, "Statistical Intervals", section 4.7), wider by the square root of 2 than the
confidence interval of the true value, because the later measurement has an error of its own. With a known deviation it
is the repeatability limit of ISO 5725-6, 2.8 standard deviations.
"""

import math
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from effcomp.core.interval import Interval

AND_A_REPEAT = 2
"""Variance of the difference of two equally precise means, in variances of one."""


class Deviation(BaseModel):
    """Deviation between values of the same number: of pairs of fresh processes, or of whole measurements."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    deviation: Annotated[float, Field(ge=0)]
    """Standard deviation of the number's logarithm; that between pairs includes the deviation between turns."""
    degrees: Annotated[int, Field(ge=1)]
    """Degrees of freedom: values less 1, summed over the groups that it was computed from."""

    @classmethod
    def of(cls, values: Sequence[float]) -> "Deviation":
        """Compute the deviation between the values of at least 2 pairs, all above 0."""
        return cls(deviation=float(np.log(values).std(ddof=1)), degrees=len(values) - 1)

    @classmethod
    def from_interval(cls, interval: Interval, pairs: int, looks: int) -> "Deviation":
        """Compute the deviation between the pairs that an interval of `pairs_interval` was drawn over, two or more,
        without that between measurements."""
        from scipy.stats import t

        assert interval.degrees is not None, "it was drawn over pairs"
        spread = math.log(interval.high / interval.value) / float(t.isf(0.025 / looks, interval.degrees))
        variance = spread**2 / AND_A_REPEAT - (interval.between_measurements or 0.0) ** 2
        return cls(deviation=math.sqrt(pairs * max(variance, 0.0)), degrees=pairs - 1)

    @classmethod
    def pooled(cls, found: Sequence["Deviation"]) -> "Deviation":
        """Pool the deviations of several measurements: the mean variance, weighted by degrees of freedom."""
        degrees = sum(one.degrees for one in found)
        variance = sum(one.degrees * one.deviation**2 for one in found) / degrees
        return cls(deviation=math.sqrt(variance), degrees=degrees)

    def times(self, factor: float) -> "Deviation":
        """Return the deviation of a number that varies by this factor more."""
        return self.model_copy(update={"deviation": self.deviation * factor})

    def margin(self, pairs: int, looks: int = 1) -> float:
        """Return the factor from the geometric mean of this many pairs to either bound of the interval of the level
        1 - 0.05 / looks for the geometric mean of as many others."""
        from scipy.stats import t

        return math.exp(float(t.isf(0.025 / looks, self.degrees)) * self.deviation * math.sqrt(AND_A_REPEAT / pairs))


PRIOR = Deviation(deviation=0.06, degrees=4)
"""Deviation of a number of speed that a single pair is given before this machine has shown its own: that of speed-ups
on virtual machines with two cores, and of calls that a GPU replays from a record (0.05 to 0.09 and 0.05 to 0.065 in
benchmarks/baselines.json and replication.json; a quiet machine of one's own has 0.008 to 0.036), with the weight of
five pairs. Pooling it with measured deviations is the conjugate update of a variance (Gelman et al. 2013, "Bayesian
Data Analysis", section 2.6)."""
NOISY_PRIOR = Deviation(deviation=0.1, degrees=4)
"""As PRIOR, on a machine that was not quiet: there, 0.08 to 0.1 where other virtual machines take 3 to 7 % of the
processor."""
LAUNCHED_PRIOR = Deviation(deviation=0.2, degrees=4)
"""As PRIOR, for numbers that wait for the processor to launch a GPU's kernels one by one: there, 0.13 to 0.28 at
batch 1."""
MEMORY_PRIOR = Deviation(deviation=0.02, degrees=4)
"""As PRIOR, for bytes of memory: there, up to 0.03 on two cores, and 0.001 beside a GPU."""
LOAD_PRIOR = Deviation(deviation=0.2, degrees=4)
"""As PRIOR, for times of loading, which wait for the disk: there, 0.2 to 0.25 on two cores, and 0.13 beside a GPU."""
TAIL = 2.0
"""A 95th or 99th percentile deviates by about so many times a median's deviation (there, 1.6 to 3)."""


def pairs_interval(pairs: Sequence[Interval], known: Deviation = PRIOR, looks: int = 1) -> Interval:
    """Return a ratio or a time over pairs of processes: the geometric mean of the pairs' values, with the interval in
    which that of as many later pairs lies.

    In the random-effects model a pair's value is the true one, plus the error of the pair, plus the mean error of its
    turns (Kalibera and Jones 2013, "Rigorous Benchmarking in Reasonable Time"). The variance between the values
    includes both errors, and the t interval of their logarithms over pairs is exact where they are normal. A two-level
    bootstrap does not need normal errors, but many pairs: resamples of three have two thirds of the variance.

    Args:
        pairs: each pair's value, above 0, with its interval over turns.
        known: deviation between other pairs, which a single pair needs: its interval is the wider one of that over its
            turns, widened for those of a repeat, and that of the known deviation. Several pairs show their own.
        looks: number of looks that the interval is corrected for (`effcomp.measure.stopping`).
    """
    values = [pair.value for pair in pairs]
    if len(pairs) > 1:
        value, between = math.exp(float(np.log(values).mean())), Deviation.of(values)
        margin = between.margin(len(pairs), looks)
        return Interval(value=value, low=value / margin, high=value * margin, degrees=between.degrees)
    (alone,), margin = pairs, known.margin(1)
    reach = math.sqrt(AND_A_REPEAT)  # a repeat has other turns too
    low = alone.value * min((alone.low / alone.value) ** reach, 1 / margin)
    high = alone.value * max((alone.high / alone.value) ** reach, margin)
    return Interval(value=alone.value, low=low, high=high, degrees=known.degrees)


def over_pairs(values: Sequence[float], known: Deviation | None = None, looks: int = 1) -> Interval | float:
    """Return a number over pairs with its interval (`pairs_interval`).

    Where a pair has a value of 0 or less, which has no logarithm, it is that of the arithmetic mean. A single pair
    needs the known deviation between pairs; without it the number is plain.
    """
    if min(values) > 0 and (len(values) > 1 or known is not None):
        return pairs_interval([Interval(value=value, low=value, high=value) for value in values], known or PRIOR, looks)
    mean = float(np.mean(values))
    if len(values) == 1:
        return mean
    from scipy.stats import t

    quantile = float(t.isf(0.025 / looks, len(values) - 1))
    half = quantile * float(np.std(values, ddof=1)) * math.sqrt(AND_A_REPEAT / len(values))
    return Interval(value=mean, low=max(mean - half, min(0.0, *values)), high=mean + half)
