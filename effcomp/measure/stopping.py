"""Number of pairs: fixed, or until the speed-up is known as precisely as asked.

A rule that looks at an interval and stops when it likes what it sees makes the last interval optimistic. Here the looks
are fixed beforehand: after bench.pairs, twice, three times, and at most LOOKS times as many pairs. Every interval over
pairs then has the level 1 - 0.05 / LOOKS. By Bonferroni's inequality those of all looks together hold repeats of as
many pairs in 95 % of measurements, and with them the one that is reported, whatever made the measurement stop. A repeat
that stops by itself may have fewer pairs; in simulations (benchmarks/planted_effects.py) 97 % or more lie inside.

The bounds of Pocock (1977, "Group sequential methods in the design and analysis of clinical trials") and of O'Brien and
Fleming (1979, "A Multiple Testing Procedure for Clinical Trials") are a little narrower, but they assume a known
variance, which three pairs do not have.
"""

import logging
from collections.abc import Sequence

from effcomp.core.interval import Interval
from effcomp.core.pairs import pairs_interval
from effcomp.core.statistics import ratio_interval
from effcomp.measure.bench import Bench
from effcomp.measure.timing import Timed
from effcomp.record import Stopping

log = logging.getLogger(__name__)

LOOKS = 4


def looks(bench: Bench) -> int:
    """Return the number of looks that intervals over pairs are corrected for."""
    return 1 if bench.precision is None else LOOKS


def is_last(timed: Sequence[Timed], bench: Bench) -> bool:
    """Decide after a pair whether it is the last."""
    if bench.precision is None:
        return len(timed) == bench.pairs
    return ends(speedups(timed, bench), bench.pairs, bench.precision)


def speedups(timed: Sequence[Timed], bench: Bench) -> list[Interval]:
    """Return the speed-up at the first batch size in each pair, with its interval over turns."""
    times = [one.batches[bench.batch_sizes[0]] for one in timed]
    return [ratio_interval(one.baseline, one.variant) for one in times]


def ends(found: Sequence[Interval], every: int, precision: float) -> bool:
    """Decide whether these pairs are enough.

    Args:
        found: speed-ups of all pairs so far.
        every: number of pairs between looks.
        precision: distance from the speed-up to its upper bound that is narrow enough, as a share of the speed-up.
    """
    if len(found) % every:
        return False
    reached = distance(found)
    said = "a repeat lies within %.1f %% of the speed-up after %d pairs, of at most %d"
    log.info(said, 100 * reached, len(found), every * LOOKS)
    return reached <= precision or len(found) == every * LOOKS


def distance(found: Sequence[Interval]) -> float:
    """Return the distance from the speed-up of these pairs to its upper bound, as a share of the speed-up."""
    interval = pairs_interval(found, looks=LOOKS)
    return interval.high / interval.value - 1


def stopping(timed: Sequence[Timed], bench: Bench) -> Stopping | None:
    """Return the row of the Record; None where the number of pairs was fixed."""
    if bench.precision is None:
        return None
    reached = distance(speedups(timed, bench)) <= bench.precision
    return Stopping(precision=bench.precision, pairs=len(timed), reached=reached, looks=LOOKS)
