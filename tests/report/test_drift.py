"""What is said of a baseline that is not as fast beside one row as beside another."""

import io

from effcomp.record import Record
from effcomp.report.build import Contents
from effcomp.report.drift import FEWEST, MOST, drifts
from effcomp.report.page import page
from effcomp.report.rows import rows
from effcomp.report.table import compare
from effcomp.report.terminal import print_table
from tests.conftest import records


def beside(record: Record, *factors: float) -> list[Record]:
    """The record once for each factor: its baseline so many times slower at batch size 1."""
    speed = record.speed
    first = speed.by_batch_size[1]
    found = []
    for seed, factor in enumerate(factors):
        slower = first.model_copy(update={"baseline_latency_p50_ms": first.baseline_latency_p50_ms * factor})
        sizes = {"by_batch_size": {**speed.by_batch_size, 1: slower}}
        changed = {"speed": speed.model_copy(update=sizes), "config": {**record.config, "seed": seed}}
        found.append(record.model_copy(update=changed))
    return found


NF4 = records("nf4")[0]
STEADY = [1.0, 1.05, MOST]
MOVED = [1.0, 1.05, 2.0]


def test_a_baseline_that_moves_is_named_with_its_batch_size_and_its_times() -> None:
    (sentence,) = drifts(rows(beside(NF4, *MOVED)))
    fastest = NF4.speed.by_batch_size[1].baseline_latency_p50_ms
    assert sentence.startswith(
        f"At batch size 1 the baseline itself took {fastest:.3g} to {2 * fastest:.3g} ms over these 3"
    )


def test_nothing_is_said_of_one_that_does_not_or_that_was_measured_twice() -> None:
    assert drifts(rows(beside(NF4, *STEADY))) == []
    assert drifts(rows(beside(NF4, *MOVED)[1 - FEWEST :])) == []


def test_baselines_are_compared_with_themselves_alone() -> None:
    elsewhere = NF4.truth.model_copy(update={"device": "another processor"})
    slow = [record.model_copy(update={"truth": elsewhere}) for record in beside(NF4, 3.0, 3.0, 3.0)]
    assert drifts(rows([*beside(NF4, *STEADY), *slow])) == []
    (sentence,) = drifts(rows([*beside(NF4, *MOVED), *slow]))
    assert ", minilm on rotten_tomatoes," in sentence


def test_the_terminal_and_the_page_say_it() -> None:
    moved = beside(NF4, *MOVED)
    comparison, drawn = compare(moved), io.StringIO()
    print_table(moved, drawn)
    shown = page(Contents(comparison, comparison.texts(), [], [], [], [], None))
    for words in "the baseline itself took", "remeasure=true":
        assert words in " ".join(drawn.getvalue().split())
        assert words in shown.partition("Read with care")[2]
