"""Warning about a baseline that was not as fast beside one row as beside another."""

import io

from effcomp.record import Record
from effcomp.report.page.render import Contents, page
from effcomp.report.table.comparison import compare
from effcomp.report.table.drift import FEWEST, MOST, drifts
from effcomp.report.table.terminal import print_comparison
from tests.conftest import altered, records

NF4 = records("nf4")[0]
FASTEST = NF4.speed.by_batch_size[1].baseline_latency_p50_ms
STEADY, MOVED = [1.0, 1.05, MOST], [1.0, 1.05, 2.0]


def beside(*factors: float, batch_size: int = 1) -> list[Record]:
    """The record once for each factor: its baseline so many times slower at a batch size."""
    found = []
    for number, factor in enumerate(factors):
        measured = NF4.speed.by_batch_size[batch_size]
        slower = measured.model_copy(update={"baseline_latency_p50_ms": measured.baseline_latency_p50_ms * factor})
        speed = NF4.speed.model_copy(update={"by_batch_size": {**NF4.speed.by_batch_size, batch_size: slower}})
        config = {**NF4.config, "prune": {**NF4.config["prune"], "steps": number}}  # three configurations
        found.append(NF4.model_copy(update={"speed": speed, "config": config}))
    return found


def elsewhere(found: list[Record], changes: dict[str, object]) -> list[Record]:
    return [altered(one, changes) for one in found]


def test_a_baseline_that_moved_is_told_with_its_batch_sizes_and_times() -> None:
    (sentence,) = drifts(beside(*MOVED))
    said = f"{FASTEST:.3g} to {2 * FASTEST:.3g} ms at batch size 1 (over 1.1 times the fastest in 1 of 3 measurements)."
    assert sentence.startswith(f"The baseline drifted between measurements: {said}")


def test_all_batch_sizes_are_in_one_sentence() -> None:
    (sentence,) = drifts([*beside(*MOVED), *beside(*MOVED, batch_size=32)])
    assert "in 1 of 6 measurements); " in sentence
    assert sentence.count("remeasure=true") == 1


def test_nothing_is_said_of_one_that_did_not_or_that_was_measured_twice() -> None:
    assert drifts(beside(*STEADY)) == []
    assert drifts(beside(*MOVED)[1 - FEWEST :]) == []


def test_baselines_are_compared_with_those_of_the_same_machine_and_texts_alone() -> None:
    slow = beside(3.0, 3.0, 3.0)
    for path, value in (
        ("truth.machine.device", "another"),
        ("truth.machine.threads", 64),
        ("truth.data.fingerprint", "another"),
        ("truth.baseline_artifact", "b"),
    ):
        assert drifts([*beside(*STEADY), *elsewhere(slow, {path: value})]) == []
    (sentence,) = drifts([*beside(*MOVED), *elsewhere(slow, {"truth.machine.device": "another processor"})])
    assert sentence.startswith(f"The baseline, {NF4.truth.machine.device}, drifted between")


def test_the_terminal_and_the_page_say_it() -> None:
    moved = beside(*MOVED)
    comparison, drawn = compare(moved), io.StringIO()
    print_comparison(comparison, [], drawn)
    shown = page(Contents(comparison, comparison.texts(), [], [], [], None))
    for words in "drifted between measurements", "remeasure=true":
        assert words in " ".join(drawn.getvalue().split())
        assert words in shown.partition("Read with care")[2]
