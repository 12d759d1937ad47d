"""Intervals that hold a repeat at another hour.

A time follows the speed of the machine: its clock, its temperature, the neighbours of a virtual machine. Both sides
of a pair share it, so it cancels in a speed-up; in milliseconds it does not. One pair does not show it, and several
pairs within minutes need not. It is the highest level of the random-effects model of `effcomp.core.pairs`: the
logarithm of a measured time is the true one, plus the error of the measurement, plus the mean error of its pairs.

The baseline is measured again beside every configuration: its times are repeats of one measurement, and their deviation
is that of the measurement (`effcomp.pipeline.between`). It includes the mean error of the baseline's pairs, so that an
interval is a little wider than it has to be.
"""

import math

from effcomp.core.interval import Interval
from effcomp.core.pairs import AND_A_REPEAT, Deviation

PRIOR = Deviation(deviation=0.1, degrees=4)
"""Deviation between measurements on a quiet processor before this machine has shown its own, with the weight of five
measurements. In benchmarks/baselines.json virtual machines with two cores deviate by 0.10 to 0.15 at batch size 1, and
by 0.03 to 0.11 at 32, within an hour: single pairs, whose own deviation is in it."""
NOISY_PRIOR = Deviation(deviation=0.3, degrees=4)
"""As PRIOR, between a measurement on a machine that was not quiet and any other: 0.29 and 0.33 in
benchmarks/replication.json; 0.4 and 0.5 at batch size 1 there."""
GPU_PRIOR = Deviation(deviation=0.03, degrees=4)
"""As PRIOR, on a GPU, for calls that wait for no launches: the baseline of benchmarks/replication.json that is recorded
as a graph deviates by 0.037 at batch size 1, and by 0.017 at 32."""

ROUNDING = 1e-9
"""Error of whole degrees of freedom in floating point, at most."""


def over_measurements(interval: Interval, between: Deviation, looks: int = 1) -> Interval:
    """Return a time or a rate over pairs with the interval in which a repeat at another hour lies.

    The variances between measurements and between pairs are added; the sum has the degrees of freedom of Satterthwaite
    (1946, "An Approximate Distribution of Estimates of Variance Components"). An interval without degrees of freedom,
    which is no t interval of a logarithm, stays as it is.

    Args:
        interval: that of `pairs_interval`, of the level 1 - 0.05 / looks.
        between: deviation between measurements.
    """
    if interval.degrees is None:
        return interval
    from scipy.stats import t

    quantile = float(t.isf(0.025 / looks, interval.degrees))
    below, above = (abs(math.log(bound / interval.value)) / quantile for bound in (interval.low, interval.high))
    of_pairs, added = max(below, above) ** 2, AND_A_REPEAT * between.deviation**2
    sum_of_squares = of_pairs**2 / interval.degrees + added**2 / between.degrees
    degrees = math.floor((of_pairs + added) ** 2 / sum_of_squares + ROUNDING) if sum_of_squares else between.degrees
    wider = float(t.isf(0.025 / looks, degrees))
    return Interval(
        value=interval.value,
        low=interval.value * math.exp(-wider * math.sqrt(below**2 + added)),
        high=interval.value * math.exp(wider * math.sqrt(above**2 + added)),
        degrees=degrees,
        between_measurements=between.deviation,
    )
