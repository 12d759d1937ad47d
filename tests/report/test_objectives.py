"""Objectives of a configuration, and the comparison of speeds by their ratios, on records of real runs."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effcomp.core.interval import Interval
from effcomp.record import Record
from effcomp.record.probe import probes
from effcomp.record.quantity import exact, fields
from effcomp.report.objectives import OBJECTIVES, comparable, pareto_front
from effcomp.report.sources import find_records
from tests.conftest import ROOT, altered

CPU = ROOT / "benchmarks/cpu"


def at(record: Record, device: str) -> Record:
    return altered(record, {"truth.machine.device": device})


def with_speed(record: Record, latency_ms: float, speedup: float) -> Record:
    changes = {"latency_p50_ms": around(latency_ms), "speedup": around(speedup)}
    return record.model_copy(update={"speed": record.speed.model_copy(update=changes)})


def around(value: float) -> Interval:
    return Interval(value=value, low=value * 0.9, high=value * 1.1)


def test_every_objective_reads_a_number_with_its_bounds_in_order() -> None:
    files = (CPU / "minilm_sst2.jsonl", CPU / "smollm2_bbc_news.jsonl", CPU.parent / "metrics_study.jsonl")
    records = [record for file in files for record in find_records(file)]
    texts, machine = {"strict_match", "flexible_match"}, {"energy_per_sample_j", "gpu_allocated_bytes"}
    unmeasured = {*texts, *machine, *probes(), "server_requests_per_s"}
    for key, objective in OBJECTIVES.items():
        found = [value for record in records if (value := objective.value(record)) is not None]
        assert all(value.low <= value.value <= value.high for value in found), key
        assert found or key in unmeasured


def test_what_a_record_has_not_is_none_and_no_number() -> None:
    classifier = find_records(CPU / "minilm_sst2.jsonl")[0]
    language = find_records(CPU / "smollm2_bbc_news.jsonl")[0]
    untrained = find_records(CPU / "distilbert_random.jsonl")[0]
    assert OBJECTIVES["perplexity"].value(classifier) is None
    assert OBJECTIVES["accuracy"].value(language) is None
    assert OBJECTIVES["accuracy"].value(untrained) is None
    assert OBJECTIVES["energy_per_sample_j"].value(classifier) is None, "unavailable is no 0"


def test_a_label_is_a_name_and_a_unit() -> None:
    assert OBJECTIVES["artifact_bytes"].label == "artifact, MiB"
    assert OBJECTIVES["perplexity"].label == "perplexity"
    assert OBJECTIVES["speedup"].label == "speed-up, times"


def test_every_objective_has_a_name_of_its_own_and_a_direction() -> None:
    found = [field for field in fields(Record) if field.quantity.objective]
    assert len({field.name for field in found}) == len(found)
    assert all(field.quantity.better is not None for field in found)


def test_latencies_beside_one_baseline_have_the_order_of_their_speedups() -> None:
    """The second ran while the machine was slow: its own time is longer, its speed-up greater."""
    record = find_records(CPU / "minilm_sst2.jsonl")[1]
    quiet, busy = with_speed(record, 5.0, 4.0), with_speed(record, 8.0, 5.0)
    first, second = comparable(OBJECTIVES["latency_p50_ms"], [quiet, busy])
    assert first is not None
    assert second is not None
    assert second.value < first.value
    assert first.value / second.value == pytest.approx(5 / 4)
    assert first.low == pytest.approx(first.value / 1.1), "the interval is the speed-up's"
    assert (first.value + second.value) / 2 == pytest.approx((30 / 4 + 30 / 5) / 2), "baselines of 20 and 40 ms: 30"


def test_a_latency_alone_is_the_one_that_was_measured() -> None:
    record = with_speed(find_records(CPU / "minilm_sst2.jsonl")[1], 5.0, 4.0)
    (found,) = comparable(OBJECTIVES["latency_p50_ms"], [record])
    assert found is not None
    assert found.value == pytest.approx(5.0)


def test_latencies_beside_other_baselines_are_compared_as_times() -> None:
    record = find_records(CPU / "minilm_sst2.jsonl")[1]
    here = at(with_speed(record, 5.0, 4.0), device="a laptop")
    there = at(with_speed(record, 8.0, 5.0), device="a server")
    assert [round(one.value, 6) for one in comparable(OBJECTIVES["latency_p50_ms"], [here, there]) if one] == [5, 8]


def on(record: Record, runtime: str) -> Record:
    choices = {**record.choices, "runtime": runtime}
    return record.model_copy(update={"config": {**record.config, "choices": choices}})


def test_a_latency_on_cuda_graphs_is_compared_as_it_is_and_others_beside_it_by_their_ratios() -> None:
    record = find_records(CPU / "minilm_sst2.jsonl")[1]
    slow_baseline, eager = on(with_speed(record, 5.0, 8.0), "cuda_graphs"), with_speed(record, 20.0, 1.0)
    first, second = comparable(OBJECTIVES["latency_p50_ms"], [slow_baseline, eager])
    assert first == slow_baseline.speed.latency_p50_ms
    assert second is not None
    assert second.value == pytest.approx(30), "the baselines took 40 and 20 ms"


def test_a_throughput_on_cuda_graphs_keeps_the_order_and_the_interval_of_the_speedups() -> None:
    records = find_records(CPU.parent / "h100/gpt2.jsonl")
    for record, found in zip(records, comparable(OBJECTIVES["throughput_samples_per_s"], records), strict=True):
        speedup = record.speed.by_batch_size[32].speedup
        assert found is not None
        assert found.high / found.low == pytest.approx(speedup.high / speedup.low)


def test_a_greater_speedup_is_a_greater_throughput() -> None:
    records = find_records(CPU / "minilm_sst2.jsonl")
    found = comparable(OBJECTIVES["throughput_samples_per_s"], records)
    by_throughput = sorted(range(len(records)), key=lambda index: found[index].value)  # type: ignore[union-attr]
    by_speedup = sorted(range(len(records)), key=lambda index: records[index].speed.by_batch_size[32].speedup.value)
    assert by_throughput == by_speedup


def exactly(points: Sequence[tuple[float, float]]) -> list[tuple[Interval, Interval]]:
    return [(exact(x), exact(y)) for x, y in points]


def test_a_front_holds_what_no_other_point_beats() -> None:
    points = exactly([(1.0, 5.0), (2.0, 7.0), (3.0, 6.0), (4.0, 9.0), (1.5, 5.0)])
    assert pareto_front(points, ("minimize", "maximize")) == [0, 1, 3]
    assert pareto_front(points, ("minimize", "minimize")) == [0]
    assert pareto_front(points, ("maximize", "minimize")) == [3, 2, 4]
    assert pareto_front([], ("minimize", "minimize")) == []


def test_equal_points_are_on_a_front_together() -> None:
    assert pareto_front(exactly([(1.0, 1.0), (1.0, 1.0), (1.0, 2.0)]), ("minimize", "minimize")) == [0, 1]


def test_a_gain_within_the_noise_puts_nothing_on_the_front() -> None:
    fast = (Interval(value=2, low=1.9, high=2.1), Interval(value=89.7, low=88.0, high=91.0))
    noise = (Interval(value=3, low=2.9, high=3.1), Interval(value=90.0, low=88.5, high=91.5))
    better = (Interval(value=3, low=2.9, high=3.1), Interval(value=94.0, low=93.0, high=95.0))
    assert pareto_front([noise, fast], ("minimize", "maximize")) == [1]
    assert pareto_front([better, fast], ("minimize", "maximize")) == [1, 0]
    assert pareto_front([noise, fast, fast], ("minimize", "maximize")) == [1, 2]


@given(st.lists(st.tuples(*[st.tuples(*[st.integers(0, 9)] * 3)] * 2), min_size=1, max_size=12))
def test_a_front_is_never_empty_and_holds_all_that_none_is_shown_to_beat(numbers: list[Any]) -> None:
    points = [
        tuple(Interval(low=low, value=value, high=high) for low, value, high in map(sorted, pair)) for pair in numbers
    ]

    def beats(a: Any, b: Any) -> bool:
        return any(a[i].high < b[i].low and not b[1 - i].high < a[1 - i].low for i in (0, 1))

    front = pareto_front(points, ("minimize", "minimize"))  # type: ignore[arg-type]
    assert front
    assert set(front) == {i for i, one in enumerate(points) if not any(beats(other, one) for other in points)}


def test_decoding_is_compared_by_its_own_ratios_and_among_texts_of_one_length() -> None:
    decode, records = OBJECTIVES["decode_ms_per_token"], find_records(CPU.parent / "metrics_study.jsonl")
    assert decode.speedup is not None
    speedups = [found for record in records if (found := decode.speedup(record)) is not None]
    measured = [value for value in comparable(decode, records) if value is not None]
    assert len(measured) == len(speedups) == len(records)
    ranks = sorted(range(len(records)), key=lambda index: measured[index].value)
    assert ranks == sorted(range(len(records)), key=lambda index: -speedups[index].value)
    assert records[0].speed.generation is not None
    longer = records[0].speed.generation.model_copy(update={"new_tokens": 500})
    other = records[0].model_copy(update={"speed": records[0].speed.model_copy(update={"generation": longer})})
    assert decode.setting(other) != decode.setting(records[0])
    assert OBJECTIVES["latency_p50_ms"].setting(other) == OBJECTIVES["latency_p50_ms"].setting(records[0])
    (classifier, *_) = find_records(CPU / "minilm_sst2.jsonl")
    assert comparable(decode, [classifier, records[0]])[0] is None
