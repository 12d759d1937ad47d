"""Pairs measured from end to end: every series is there, and the summary is of those very times."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import gmean

from effcomp.core import measurements
from effcomp.core.interval import Interval
from effcomp.core.measurements import over_measurements
from effcomp.core.pairs import (
    LAUNCHED_PRIOR,
    LOAD_PRIOR,
    MEMORY_PRIOR,
    NOISY_PRIOR,
    PRIOR,
    TAIL,
    Deviation,
    over_pairs,
    pairs_interval,
)
from effcomp.core.statistics import ratio_interval
from effcomp.measure.stopping import LOOKS
from effcomp.pipeline.between import between_measurements, between_pairs, between_repeats, earlier_records, prior
from effcomp.pipeline.compose import Components
from effcomp.pipeline.prepare import prepare
from effcomp.record import Record, Stopping
from effcomp.record.comparable import is_noisy
from effcomp.record.result import RAW_FILE, Result
from tests.conftest import DATA, MOVIES, SMALL, altered, compose_parts, run_parts


@pytest.fixture(scope="module")
def encoder_parts(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Components:
    return compose_parts(
        f"model.path={tiny_bert}",
        f"task.data_dir={MOVIES}",
        "task.test_size=20",
        "quant=int8_dynamic",
        "finetune.epochs=1",
        "bench.fixed_length=16",
        "bench.scenarios=[single_stream,offline]",
        f"store={tmp_path_factory.mktemp('store')}",
        "tracking=none",
        *SMALL,
        "bench.pairs=2",
        "bench.precision=1e30",
    )


@pytest.fixture(scope="module")
def encoder(encoder_parts: Components) -> Result:
    return run_parts(encoder_parts)


@pytest.fixture(scope="module")
def decoder(tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    parts = compose_parts(
        "model=gpt2",
        f"model.path={tiny_gpt2}",
        "task=wikitext2",
        f"task.data_dir={DATA / 'wikitext2'}",
        "task.max_length=64",
        "finetune=none",
        f"store={tmp_path_factory.mktemp('store')}",
        "tracking=none",
        *SMALL,
        "bench.prompt_tokens=24",
        "bench.new_tokens=5",
    )
    return run_parts(parts)


def at_another_hour(record: Record, number: Interval | float) -> Interval:
    """The interval of a time over pairs with the deviation between measurements of a store without others."""
    assert isinstance(number, Interval)
    known = measurements.NOISY_PRIOR if is_noisy(record) else measurements.PRIOR
    return over_measurements(number, known, looks=1 if record.speed.stopping is None else LOOKS)


def test_the_raw_times_are_kept_and_the_summary_is_of_them(encoder: Result, tmp_path: Path) -> None:
    encoder.write(tmp_path)
    raw, speed = np.load(tmp_path / RAW_FILE), encoder.record.speed
    for size, summary in speed.by_batch_size.items():
        baselines, variants = (
            [raw[f"pair_{pair}.batch_{size}.{side}"] for pair in (1, 2)] for side in ("baseline", "variant")
        )
        assert summary.calls == sum(times.size for times in variants)
        p99 = over_pairs([np.percentile(times, 99) for times in variants], looks=LOOKS)
        assert summary.latency_p99_ms == at_another_hour(encoder.record, p99)
        rate = over_pairs([1000 * size / times.mean() for times in variants], looks=LOOKS)
        expected = at_another_hour(encoder.record, rate)
        assert isinstance(summary.throughput_samples_per_s, Interval)
        assert summary.throughput_samples_per_s.model_dump() == pytest.approx(expected.model_dump())
        assert summary.latency_p50_ms.value == pytest.approx(gmean([np.median(times) for times in variants]))
        assert summary.speedup_pairs is not None
        assert summary.speedup_pairs.values == list(map(ratio_interval, baselines, variants))
        assert summary.speedup == pairs_interval(summary.speedup_pairs.values, looks=LOOKS)


def test_a_precision_that_is_reached_at_the_first_look_adds_no_pair(encoder: Result, decoder: Result) -> None:
    assert encoder.record.speed.stopping == Stopping(precision=1e30, pairs=2, reached=True, looks=LOOKS)
    assert decoder.record.speed.stopping is None


def test_one_pair_has_the_prior_where_the_store_has_no_other(decoder: Result) -> None:
    row, conditions = decoder.record.speed.by_batch_size[4].speedup_pairs, decoder.record.truth.conditions
    assert row is not None and conditions is not None
    assert row.between == (NOISY_PRIOR if conditions.noise else PRIOR)
    (alone,) = row.values
    numbers = decoder.record.speed.by_batch_size[4]
    for number in (numbers.latency_p90_ms, numbers.latency_p99_ms, numbers.throughput_tokens_per_s):
        assert isinstance(number, Interval) and number.low < number.value < number.high
    assert decoder.record.speed.by_batch_size[4].speedup == pairs_interval([alone], row.between)


def test_the_stored_pairs_of_this_machine_and_runtime_are_pooled_for_a_single_pair(
    encoder: Result, encoder_parts: Components
) -> None:
    speed = encoder.record.speed.by_batch_size[1]
    memory, load = encoder.record.cost.memory, encoder.record.cost.load
    assert speed.speedup_pairs is not None and speed.latency_p50_pairs is not None
    assert isinstance(memory.pss_bytes, Interval) and isinstance(load.load_time_ms, Interval)
    assert encoder.record.truth.conditions is not None
    same, noisy = prepare(encoder_parts), bool(encoder.record.truth.conditions.noise)
    known, before = between_pairs(same, earlier_records(same)), NOISY_PRIOR if noisy else PRIOR
    for name, expected in (
        ("batch_1.speedup", [before, speed.speedup_pairs.between]),
        ("batch_1.latency_p50_ms", [before, speed.latency_p50_pairs.between]),
        ("memory.pss_bytes", [MEMORY_PRIOR, Deviation.from_interval(memory.pss_bytes, 2, LOOKS)]),
        ("load.load_time_ms", [LOAD_PRIOR, Deviation.from_interval(load.load_time_ms, 2, LOOKS)]),
    ):
        found = known(name, noisy)
        assert found is not None
        assert found.model_dump() == pytest.approx(Deviation.pooled(expected).model_dump())
    elsewhere = replace(same, device=same.device.model_copy(update={"threads": 1000}))
    other = between_pairs(elsewhere, earlier_records(elsewhere))
    for name in ("batch_4.latency_p99_ms", "batch_1.throughput_tokens_per_s"):
        assert known(name, noisy) != known(name, not noisy) == other(name, not noisy) == prior(same, name, not noisy)
    assert (other("memory.pss_bytes", noisy), other("load.load_time_ms", noisy)) == (MEMORY_PRIOR, LOAD_PRIOR)
    assert other("energy.energy_per_sample_j", noisy) is None


def test_times_have_the_deviation_of_stored_baselines_and_speedups_and_memory_have_none(
    encoder: Result, encoder_parts: Components
) -> None:
    run, record = prepare(encoder_parts), encoder.record
    row = record.speed.by_batch_size[1]
    for number in (row.latency_p50_ms, row.throughput_tokens_per_s, record.cost.load.load_time_ms):
        assert isinstance(number, Interval) and number.between_measurements is not None
    for number in (row.speedup, record.cost.memory.pss_bytes):
        assert isinstance(number, Interval) and number.between_measurements is None
    slower = altered(row, {"baseline_latency_p50_ms": 2 * row.baseline_latency_p50_ms})
    other_text = {"truth.data.fingerprint": "of another text"}
    quiet, again, elsewhere = (
        altered(record, {"speed.by_batch_size": {1: one}, "truth.conditions.noise": []} | changes)
        for one, changes in ((row, {}), (slower, {}), (slower, other_text))
    )
    known = between_measurements(run, lambda: [quiet, again, elsewhere])
    shown = between_repeats([(1.0, False), (2.0, False)], noisy=False)
    assert shown is not None
    for name in ("batch_1.latency_p99_ms", "load.first_call_ms", "generation.prefill_ms"):
        found = known(name, False)
        assert found is not None
        assert found.model_dump() == pytest.approx(Deviation.pooled([shown, measurements.PRIOR]).model_dump())
    assert known("batch_1.latency_p99_ms", True) == measurements.NOISY_PRIOR
    assert known("batch_4.latency_p99_ms", False) == measurements.PRIOR
    assert known("batch_1.speedup", False) is known("memory.pss_bytes", False) is None


def test_a_noisy_machine_and_a_high_percentile_are_assumed_to_deviate_more(encoder_parts: Components) -> None:
    run = prepare(encoder_parts)
    assert prior(run, "batch_1.speedup", False) == PRIOR
    assert prior(run, "batch_1.speedup", True) == NOISY_PRIOR
    assert prior(run, "batch_1.latency_p99_ms", True) == NOISY_PRIOR.times(TAIL)
    assert prior(run, "batch_1.latency_p90_ms", False) == PRIOR


def test_what_waits_for_launches_on_a_gpu_is_assumed_to_deviate_more(encoder_parts: Components) -> None:
    run = prepare(encoder_parts)
    gpu = run.device.model_copy(update={"kind": "cuda"})
    eager, recorded = (
        replace(run, device=gpu, components=replace(encoder_parts, runtime=compose_parts(f"runtime={name}").runtime))
        for name in ("torch", "cuda_graphs")
    )
    for name in ("batch_1.latency_p50_ms", "batch_1.recorded_speedup"):
        assert prior(recorded, name, False) == PRIOR
    assert prior(recorded, "batch_1.speedup", True) == prior(eager, "batch_1.recorded_speedup", False) == LAUNCHED_PRIOR
    assert prior(eager, "generation.decode_ms_per_token", False) == LAUNCHED_PRIOR
    assert between_measurements(recorded, list)("batch_1.latency_p50_ms", True) == measurements.GPU_PRIOR


def test_a_fixed_length_is_what_was_timed(encoder: Result) -> None:
    speed = encoder.record.speed
    assert speed.fixed_length == 16
    batch = speed.by_batch_size[4]
    tokens, samples = batch.throughput_tokens_per_s, batch.throughput_samples_per_s
    assert isinstance(tokens, Interval) and isinstance(samples, Interval)
    assert (tokens.value, tokens.low) == pytest.approx((16 * samples.value, 16 * samples.low))


def test_the_floor_is_below_what_was_reached(encoder: Result) -> None:
    for batch in encoder.record.speed.by_batch_size.values():
        assert batch.floor is not None
        assert 0 < batch.floor.share < 1
        assert batch.floor.share == pytest.approx(batch.floor.floor_ms / batch.latency_p50_ms.value)


def test_the_promised_kernel_is_looked_for_among_those_that_ran(encoder: Result, decoder: Result) -> None:
    assert encoder.record.truth.kernels.expected_ran is True
    assert encoder.record.truth.kernels.int8_products is True
    assert decoder.record.truth.kernels.expected_ran is None, "float32 promises nothing"
    assert decoder.record.truth.kernels.int8_products is False


def test_only_the_scenarios_that_were_asked_for_were_run(encoder: Result, decoder: Result) -> None:
    scenarios = encoder.record.speed.scenarios
    assert scenarios is not None
    assert scenarios.single_stream_p90_ms is not None and scenarios.offline_samples_per_s is not None
    assert scenarios.server_requests_per_s is None
    assert decoder.record.speed.scenarios is None


def test_a_decoder_is_timed_reading_and_writing_apart(encoder: Result, decoder: Result) -> None:
    assert encoder.record.speed.generation is None
    generation = decoder.record.speed.generation
    assert generation is not None
    assert (generation.prompt_tokens, generation.new_tokens) == (24, 5)
    baseline, variant = (decoder.raw[f"pair_1.generation.{side}"] for side in ("baseline", "variant"))
    assert variant.shape == (6, 6), "turns, the prompt and five tokens"
    assert generation.prefill_ms.value == pytest.approx(np.median(variant[:, 0]))
    assert generation.prefill_speedup_pairs is not None and generation.decode_speedup_pairs is not None
    assert generation.prefill_speedup_pairs.values == [ratio_interval(baseline[:, :1], variant[:, :1])]
    paces = [side[:, 1:].mean(axis=1, keepdims=True) for side in (baseline, variant)]
    assert generation.decode_speedup_pairs.values == [ratio_interval(*paces)]
    assert generation.decode_ms_per_token.value == pytest.approx(np.median(paces[1]))


def test_a_decoder_has_a_cache_and_an_encoder_none(encoder: Result, decoder: Result, tiny_gpt2: Path) -> None:
    config = json.loads((tiny_gpt2 / "config.json").read_text())
    values = 2 * config["n_layer"] * config["n_embd"] * (24 + 5)
    assert decoder.record.cost.probes is not None and encoder.record.cost.probes is not None
    assert decoder.record.cost.probes["kv_cache_bytes"] == 4 * values
    assert "kv_cache_bytes" not in encoder.record.cost.probes


def test_memory_and_energy_are_numbers_or_reasons(encoder: Result, decoder: Result) -> None:
    cost = encoder.record.cost
    memory, load = cost.memory, cost.load
    for over_two in (memory.peak_rss_bytes, memory.pss_bytes, memory.load_added_rss_bytes, load.load_time_ms):
        assert isinstance(over_two, Interval)
        assert 0 < over_two.low <= over_two.value <= over_two.high
    of_one_pair = decoder.record.cost.memory.peak_rss_bytes
    assert isinstance(of_one_pair, Interval) and of_one_pair.high / of_one_pair.value == pytest.approx(
        MEMORY_PRIOR.margin(1)
    )
    assert isinstance(decoder.record.cost.memory.inference_added_rss_bytes, int)
    assert cost.size.nonzero_parameters == round(cost.size.nonzero_share * cost.size.parameters)
    assert cost.size.bits_per_parameter == 8 * cost.size.weights_bytes / cost.size.parameters
    joules = cost.energy.energy_per_sample_j
    assert isinstance(joules, float) or joules.startswith("unavailable: ")
    assert encoder.record.truth.conditions is not None
