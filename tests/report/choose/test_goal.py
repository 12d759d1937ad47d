"""Goals of a recommendation, and the rule by which a limit is kept."""

import math
from pathlib import Path

import pytest

from effcomp.core.errors import UserError
from effcomp.core.interval import Interval
from effcomp.record import LanguageVersus, Quality, Record, VersusBaseline
from effcomp.report.choose.goal import parse_goal
from effcomp.report.choose.limits import AccuracyDrop, Bound, PerplexityIncrease, two_digits
from effcomp.report.sources import find_records
from tests.conftest import ROOT, records, run_effcomp


def losing(low: float, value: float, high: float, examples: int = 1000) -> Record:
    """nf4's record with another difference of accuracy, in points."""
    (nf4,) = records("nf4")
    assert isinstance(nf4.versus_baseline, VersusBaseline)
    assert isinstance(nf4.quality, Quality)
    difference = Interval(value=value, low=low, high=high).scaled(0.01)
    return nf4.model_copy(
        update={
            "versus_baseline": nf4.versus_baseline.model_copy(update={"accuracy_difference": difference}),
            "quality": nf4.quality.model_copy(update={"examples": examples}),
        }
    )


def test_a_goal_is_an_objective_and_limits() -> None:
    goal = parse_goal(
        ["max_accuracy_drop=0.5", "minimize=latency_p50_ms", "max_artifact_bytes=3e7", "min_accuracy=0.8"]
    )
    assert goal.objectives == ("latency_p50_ms",)
    assert goal.losses == [AccuracyDrop(0.5)]
    assert goal.bounds == [Bound("max", "artifact_bytes", 3e7), Bound("min", "accuracy", 0.8)]


def test_a_difference_may_have_a_negative_limit() -> None:
    goal = parse_goal(["minimize=latency_p50_ms", "min_accuracy_difference=-0.005"])
    (bound,) = goal.bounds
    assert bound == Bound("min", "accuracy_difference", -0.005)
    kept, broken, far = losing(-0.4, 0.0, 0.4), losing(-2.0, -1.0, -0.6), losing(-9.0, -8.0, -7.0)
    assert [bound.standing(record).verdict for record in (kept, broken)] == ["kept", "broken"]
    assert 0 == goal.excess(kept) < goal.excess(broken) < goal.excess(far)


@pytest.mark.parametrize("item", ["minimise=latency_p50_ms", "minimize=latency_p50_ms"])
def test_both_spellings_are_understood(item: str) -> None:
    assert parse_goal([item]).objectives == ("latency_p50_ms",)


@pytest.mark.parametrize(
    "items",
    [["minimize=[latency_p50_ms,artifact_bytes]"], ["minimize=latency_p50_ms", "minimize=artifact_bytes"]],
)
def test_two_objectives_are_a_list_or_two_words(items: list[str]) -> None:
    assert parse_goal(items).objectives == ("latency_p50_ms", "artifact_bytes")


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        (["max_accuracy_drop=0.5"], "give one objective or two different ones, not 0"),
        (["minimize=[latency_p50_ms,artifact_bytes,load_time_ms]"], "not 3"),
        (["minimize=latency_p50_ms", "minimize=latency_p50_ms"], "two different ones, not 2"),
        (["minimize=[latency_p50_ms,accuracy]"], "write maximize=accuracy"),
        (["minimize=accuracy"], "write maximize=accuracy"),
        (["minimize=latency"], "NAME is one of: accuracy"),
        (["minimize=latency_p50_ms", "max_latency=3"], "max_latency=3: give"),
        (["minimize=latency_p50_ms", "max_accuracy_drop=little"], "little is no number"),
        (["minimize=latency_p50_ms", "max_accuracy_drop=nan"], "nan is no number"),
        (["minimize=latency_p50_ms", "max_accuracy_drop=-1"], "-1 is no number of 0 or more"),
        (["minimize=latency_p50_ms", "max_loss_difference=-inf"], "-inf is no number; give one"),
        (["latency_p50_ms"], "give minimize=NAME"),
    ],
)
def test_what_cannot_be_asked_is_refused(items: list[str], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        parse_goal(items)


def test_a_bad_item_is_refused_before_any_record_is_read(tmp_path: Path) -> None:
    ran = run_effcomp("missing.jsonl", "--recommend", "minimize=speed", cwd=tmp_path, module="effcomp.report")
    assert ran.code == 2
    assert "minimize=speed" in ran.stderr
    assert "missing" not in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_a_loss_is_within_its_limit_when_its_whole_interval_is() -> None:
    assert AccuracyDrop(0.5).broken_by(losing(-0.5, 0.0, 0.5)) is None
    assert AccuracyDrop(0.5).broken_by(losing(-0.51, 0.0, 0.5)) is not None


def test_a_loss_that_is_shown_is_told_from_one_that_is_not_excluded() -> None:
    shown = AccuracyDrop(0.5).broken_by(losing(-2.0, -1.0, -0.6))
    assert shown == "its accuracy falls by more than 0.5 points: -1.0 [-2.0, -0.6]"
    open_question = AccuracyDrop(0.5).broken_by(losing(-0.9, -0.2, 0.5))
    assert open_question is not None
    assert open_question.startswith("1,000 examples cannot show that its accuracy falls by at most 0.5 points: -0.2")


def test_the_number_of_examples_that_would_decide_is_enough() -> None:
    """0.7 points wide on either side of -0.2: at 5,500 examples it is 0.3, and ends at the limit of 0.5."""
    reason = AccuracyDrop(0.5).broken_by(losing(-0.9, -0.2, 0.5))
    assert reason is not None
    assert reason.endswith("about 5,500 would decide")
    half = 0.7 * math.sqrt(1000 / 5500)
    assert AccuracyDrop(0.5).broken_by(losing(-0.2 - half, -0.2, -0.2 + half)) is None


def test_no_number_of_examples_is_promised_where_the_middle_is_beyond_the_limit() -> None:
    reason = AccuracyDrop(0.5).broken_by(losing(-1.5, -0.6, 0.3))
    assert reason is not None
    assert "would decide" not in reason


def test_perplexity_is_limited_in_percent() -> None:
    (record,) = [
        record
        for record in find_records(ROOT / "benchmarks/cpu/smollm2_bbc_news.jsonl")
        if (record.choices["quant"], record.choices["runtime"]) == ("int8_scratch", "torch")
    ]
    assert isinstance(record.versus_baseline, LanguageVersus)
    percent = 100 * (record.versus_baseline.perplexity_ratio.high - 1)
    assert PerplexityIncrease(percent + 0.1).broken_by(record) is None
    assert "perplexity rises by more than 1 %" in str(PerplexityIncrease(1).broken_by(record))
    assert AccuracyDrop(1).broken_by(record) == "its accuracy was not measured"


def test_a_bound_is_kept_by_the_whole_interval() -> None:
    value = Interval(value=4.0, low=3.5, high=4.5)
    assert Bound("max", "latency_p50_ms", 4.5).broken_by(value) is None
    assert Bound("max", "latency_p50_ms", 4.4).broken_by(value) == (
        "its latency p50 cannot be shown to be at most 4.40 ms: 4.00 [3.50, 4.50] ms"
    )
    assert "is not at most 3.40 ms" in str(Bound("max", "latency_p50_ms", 3.4).broken_by(value))
    assert Bound("min", "latency_p50_ms", 3.6).broken_by(value) is not None
    assert Bound("min", "latency_p50_ms", 3.5).broken_by(None) == "its latency p50 was not measured"


@pytest.mark.parametrize(("value", "rounded"), [(2357, 2400), (96.2, 97), (120_001, 130_000), (3.2, 4)])
def test_two_digits_are_rounded_up(value: float, rounded: int) -> None:
    assert two_digits(value) == rounded
