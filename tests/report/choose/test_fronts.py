"""Configurations on a front, and those that are shown where there are too many."""

from effcomp.record import Record
from effcomp.report.choose.fronts import MOST_SHOWN, examples, quality_tradeoffs, readable, tradeoffs
from effcomp.report.rows import NamedRecord, rows
from effcomp.report.sources import find_records
from tests.conftest import ROOT

CPU = ROOT / "benchmarks/cpu"


def seeded(record: Record, seed: int) -> Record:
    return record.model_copy(update={"config": {**record.config, "seed": seed}})


def shown(named: list[NamedRecord]) -> list[str]:
    return [row.name for row in readable(named, quality_tradeoffs(named))]


def test_the_front_of_real_records_is_what_no_other_is_shown_to_beat() -> None:
    (found,) = tradeoffs(rows(find_records(CPU / "minilm_sst2.jsonl")), "latency_p50_ms")
    (fastest,) = found.front
    assert found.rows[fastest].name == "int8_static on openvino", "872 examples show that none is more accurate"
    x, y = found.points[fastest]
    assert all(a.low > x.high and b.low < y.high for a, b in found.points if a != x)


def test_test_sets_are_not_compared_with_each_other() -> None:
    named = rows(find_records(CPU / "minilm_sst2.jsonl") + find_records(CPU / "smollm2_bbc_news.jsonl"))
    found = tradeoffs(named, "artifact_bytes")
    assert [one.y.label for one in found] == ["accuracy difference, points", "loss difference, nats"]
    assert all(len({examples(row.record) for row in one.rows}) == 1 for one in found)


def test_a_cost_that_no_record_has_makes_no_figure() -> None:
    assert set(quality_tradeoffs(rows(find_records(CPU / "minilm_sst2.jsonl")))) == {"speed", "bytes"}


def test_all_are_shown_where_they_can_be_read() -> None:
    named = rows(find_records(CPU / "minilm_sst2.jsonl"))
    assert shown(named) == [row.name for row in named]


def test_of_very_many_the_baseline_and_the_fronts_are_shown() -> None:
    records = find_records(CPU / "minilm_sst2.jsonl")
    named = rows([seeded(record, seed) for seed in range(4) for record in records])
    names = shown(named)
    assert len(names) == MOST_SHOWN
    assert names[0] == named[0].name == "none (baseline), seed=0"
    for found in quality_tradeoffs(named).values():
        for one in found:
            assert {one.rows[index].name for index in one.front} <= set(names)


def test_of_very_many_without_a_quality_the_fronts_are_of_size_and_latency() -> None:
    records = find_records(CPU / "distilbert_random.jsonl")
    named = rows([seeded(record, seed) for seed in range(8) for record in records])
    names = shown(named)
    assert len(names) == MOST_SHOWN
    assert "int8_static on openvino, seed=0" in names
