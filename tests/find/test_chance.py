"""Chances: what a look at few examples says about a confirmation, and which candidates it pays to confirm."""

from statistics import NormalDist

import numpy as np
import pytest

from effcomp.core.interval import NORMAL_975, Interval
from effcomp.find.chance import Prospect, cannot_win, chance, confirmed, most_promising, with_widths
from effcomp.report.choose.goal import parse_goal
from tests.conftest import altered, records

FASTEST = parse_goal(["minimize=latency_p50_ms"])
SMALLEST_LOSS = parse_goal(["maximize=accuracy"])


AMONG_THREE = 2.394
"""Normal quantile of a two-sided interval of 98.3 %."""


def prospect(value: float, half: float, chance: float) -> Prospect:
    return Prospect((around(value, half),), chance)


def around(value: float, half: float) -> Interval:
    return Interval(value=value, low=value - half, high=value + half)


@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0])
def test_the_chance_is_the_share_of_second_samples_whose_interval_keeps_the_limit(ratio: float) -> None:
    generator, deviation, limit = np.random.default_rng(0), 0.2, 0.5
    true = generator.normal(0.1, deviation, 200_000)  # given a first sample with its middle at 0.1
    second = generator.normal(true, deviation * ratio**0.5)
    kept = float((second + AMONG_THREE * deviation * ratio**0.5 <= limit).mean())
    assert confirmed(around(0.1, NORMAL_975 * deviation), limit, 3, ratio) == pytest.approx(kept, abs=0.01)


def test_the_chance_of_a_number_whose_interval_holds_a_repeat_counts_its_error_once() -> None:
    generator, deviation, limit = np.random.default_rng(0), 0.2, 0.9
    true = generator.normal(0.1, deviation, 200_000)
    second = generator.normal(true, deviation)
    kept = float((second + AMONG_THREE * 2**0.5 * deviation <= limit).mean())
    seen = around(0.1, NORMAL_975 * 2**0.5 * deviation)
    assert confirmed(seen, limit, 3, 1.0, holds_a_repeat=True) == pytest.approx(kept, abs=0.01)


def test_a_limit_of_speed_is_judged_by_its_logarithm() -> None:
    (record,) = records("nf4")
    wide = record.speed.speedup.model_copy(update={"value": 2.0, "low": 1.0, "high": 4.0, "degrees": None})
    changed = altered(record, {"speed.speedup": wide})
    goal = parse_goal(["minimize=latency_p50_ms", "min_speedup=2"])
    just, far = (chance(changed, goal, tests, 1.0) for tests in (1, 20))
    assert just == pytest.approx(NormalDist().cdf(-NORMAL_975), rel=1e-3)
    assert far < just


def test_a_limit_of_quality_counts_the_examples_of_the_look_and_one_of_speed_does_not() -> None:
    (record,) = records("nf4")
    seen = altered(record, {"quality.accuracy": around(0.83, 0.037)})
    goal, fast = (parse_goal(["minimize=latency_p50_ms", limit]) for limit in ("min_accuracy=0.8", "min_speedup=2"))
    small, whole = (chance(seen, goal, 3, ratio) for ratio in (0.16, 1.0))
    assert small > whole
    assert chance(seen, fast, 3, 0.16) == chance(seen, fast, 3, 1.0)


def test_a_single_number_that_varies_is_given_a_width_and_one_of_bytes_on_disk_is_not() -> None:
    (record,) = records("nf4")
    goal = parse_goal(["minimize=load_time_ms", "max_peak_rss_bytes=4e8", "max_artifact_bytes=1e6"])
    alone = altered(record, {"cost.memory.peak_rss_bytes": 401_000_000, "cost.load.load_time_ms": 100.0})
    assert goal.broken_by(altered(alone, {"cost.size.artifact_bytes": 900_000})) is not None
    look = with_widths(alone, goal)
    assert look.cost.load.load_time_ms.low < 90 < 110 < look.cost.load.load_time_ms.high
    assert look.cost.size == record.cost.size
    assert goal.broken_by(altered(look, {"cost.size.artifact_bytes": 900_000})) is None


def test_an_exact_number_is_kept_or_not() -> None:
    assert confirmed(around(3.0, 0.0), 3.0, 3, 1.0) == 1
    assert confirmed(around(3.1, 0.0), 3.0, 3, 1.0) == 0


def test_a_slower_candidate_cannot_win_once_a_faster_one_is_almost_certain() -> None:
    fast = prospect(2.0, 0.5, 0.97)
    assert cannot_win([2.6], FASTEST, [fast])
    assert not cannot_win([2.4], FASTEST, [fast]), "their intervals overlap"
    assert not cannot_win([2.6], FASTEST, [Prospect(fast.values, 0.9)]), "the faster one may break the limit"
    assert not cannot_win([2.6], FASTEST, [Prospect(fast.values, 0.9)] * 2), "and the other with it: same examples"


def test_where_more_is_better_the_lower_one_cannot_win() -> None:
    assert cannot_win([0.7], SMALLEST_LOSS, [prospect(0.8, 0.05, 0.97)])
    assert not cannot_win([0.9], SMALLEST_LOSS, [prospect(0.8, 0.05, 0.97)])


def test_the_finalists_are_the_fast_ones_that_may_keep_the_limit_and_a_safe_one() -> None:
    prospects = [
        prospect(1.0, 0.1, 0.001),  # fastest, and almost certainly beyond the limit
        prospect(2.0, 0.1, 0.5),
        prospect(5.0, 0.1, 0.99),
        prospect(9.0, 0.1, 0.99),
    ]
    assert most_promising(prospects, FASTEST, 2) == [2, 1]
    assert len(most_promising(prospects, FASTEST, 9)) == 4
    assert most_promising([], FASTEST, 3) == []


def test_a_safe_candidate_is_chosen_even_where_it_is_the_slowest() -> None:
    prospects = [prospect(1.0, 0.1, 0.0), prospect(9.0, 0.1, 0.9)]
    assert most_promising(prospects, FASTEST, 1) == [1]


def test_of_two_objectives_only_what_is_better_in_one_and_worse_in_none_beats() -> None:
    goal = parse_goal(["minimize=[latency_p50_ms,artifact_bytes]"])
    sure = Prospect((around(2.0, 0.1), around(50, 0)), 1.0)
    assert cannot_win([2.2, 50], goal, [sure]), "slower, and of the same size"
    assert not cannot_win([2.2, 49], goal, [sure]), "slower, and smaller"
    assert not cannot_win([2.0, 50], goal, [sure]), "a tie"


def test_the_finalists_of_two_objectives_are_both_ends_of_the_front() -> None:
    goal = parse_goal(["minimize=[latency_p50_ms,artifact_bytes]"])
    numbers = [(1.0, 90), (1.1, 89), (5.0, 20), (9.0, 10), (8.9, 70)]
    prospects = [Prospect((around(fast, 0.01), around(size, 0)), 0.9) for fast, size in numbers]
    assert set(most_promising(prospects, goal, 3)) == {0, 2, 3}
