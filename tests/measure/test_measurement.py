"""A pair measured from end to end: every series is there, and the summary is of those very times."""

from pathlib import Path

import numpy as np
import pytest

from effcomp.core.statistics import ratio_interval
from effcomp.pipeline.checks import check
from effcomp.pipeline.run import run
from effcomp.record.result import RAW_FILE, Result
from tests.conftest import DATA, MOVIES, SMALL, compose_parts, machine_rates_in


@pytest.fixture(scope="module")
def encoder(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    parts = compose_parts(
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
    )
    check(parts)
    with machine_rates_in(parts.store):
        return run(parts)


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
    check(parts)
    with machine_rates_in(parts.store):
        return run(parts)


def test_the_raw_times_are_kept_and_the_summary_is_of_them(encoder: Result, tmp_path: Path) -> None:
    encoder.write(tmp_path)
    raw, speed = np.load(tmp_path / RAW_FILE), encoder.record.speed
    for size, summary in speed.by_batch_size.items():
        baseline, variant = raw[f"batch_{size}.baseline"], raw[f"batch_{size}.variant"]
        assert summary.latency_p50_ms.value == np.median(variant)
        assert summary.calls == variant.size
        assert summary.speedup == ratio_interval(baseline, variant)


def test_a_fixed_length_is_what_was_timed(encoder: Result) -> None:
    speed = encoder.record.speed
    assert speed.fixed_length == 16
    batch = speed.by_batch_size[4]
    assert batch.throughput_tokens_per_s == pytest.approx(16 * batch.throughput_samples_per_s)


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
    assert decoder.raw["generation.variant"].shape == (6, 6), "turns, the prompt and five tokens"
    assert generation.prefill_ms.value == np.median(decoder.raw["generation.variant"][:, 0])
    baseline, variant = (decoder.raw[f"generation.{side}"] for side in ("baseline", "variant"))
    assert generation.prefill_speedup == ratio_interval(baseline[:, :1], variant[:, :1])
    assert generation.decode_speedup == ratio_interval(baseline[:, 1:], variant[:, 1:])


def test_memory_and_energy_are_numbers_or_reasons(encoder: Result) -> None:
    cost = encoder.record.cost
    assert cost.memory.pss_bytes is not None and 0 < cost.memory.pss_bytes <= cost.memory.peak_rss_bytes
    assert cost.size.nonzero_parameters == round(cost.size.nonzero_share * cost.size.parameters)
    assert cost.size.bits_per_parameter == 8 * cost.size.weights_bytes / cost.size.parameters
    joules = cost.energy.energy_per_sample_j
    assert isinstance(joules, float) or joules.startswith("unavailable: ")
    assert encoder.record.truth.conditions is not None
