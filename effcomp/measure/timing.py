"""Timing of an open pair: whole batches, then token by token, with memory and interference recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from effcomp.core.interval import Interval
from effcomp.core.progress import Progress
from effcomp.core.statistics import Floats, median_interval, over_turns, ratio_interval
from effcomp.measure.activity import Reading, read_counters
from effcomp.measure.bench import Bench
from effcomp.measure.disturbance import DisturbedTurns
from effcomp.measure.energy import Idle, energy_per_sample
from effcomp.measure.pair import Pair, PairedTimes, in_turn, measure_batch
from effcomp.measure.trace import Trace
from effcomp.record import Energy, Load, Memory
from effcomp.record.trace import Sample

PERCENTILES = (90, 95, 99)


@dataclass(frozen=True)
class Timed:
    """Times of one pair of processes."""

    batches: dict[int, PairedTimes]
    """By batch size."""
    generation: PairedTimes | None
    """Times of (turns, 1 + new tokens), the prompt first; None for models and runtimes that do not generate."""
    memory: Memory
    load: Load
    energy: Energy
    before: Reading
    """Reading of the machine before the timing."""
    after: Reading
    """Reading of the machine after it."""
    disturbed_turns: DisturbedTurns
    trace: list[Sample]
    """Resource trace of the variant's process while batches were timed."""

    @property
    def times(self) -> dict[str, PairedTimes]:
        """Times by the kind of call: `batch_32`, `generation`."""
        batches = {f"batch_{size}": times for size, times in self.batches.items()}
        return batches if self.generation is None else batches | {"generation": self.generation}

    def estimates(self, seed: int) -> dict[str, Interval]:
        """Return the numbers of the rows BatchSpeed (`batch_32.latency_p99_ms`) and Generation
        (`generation.prefill_ms`), each with its interval over the pair's turns."""
        found = dict[str, Interval]()
        for size, times in self.batches.items():
            mean = over_turns(times.variant, mean_of, seed)
            numbers = {
                "latency_p50_ms": median_interval(times.variant, seed),
                "latency_mean_ms": mean,
                "throughput_samples_per_s": per_second(mean, size),
                "throughput_tokens_per_s": per_second(mean, times.mean_tokens),
                "speedup": ratio_interval(times.baseline, times.variant),
            }
            if times.recorded is not None:
                numbers["recorded_speedup"] = ratio_interval(times.recorded, times.variant)
            for rank in PERCENTILES:
                numbers[f"latency_p{rank}_ms"] = over_turns(times.variant, partial(percentile_of, rank=rank), seed)
            found |= {f"batch_{size}.{name}": number for name, number in numbers.items()}
        if self.generation is not None:
            baseline, variant = self.generation.baseline, self.generation.variant
            # Of a turn's tokens the mean is the pace: a speculated token shares the time of its call.
            paces = [side[:, 1:].mean(axis=1, keepdims=True) for side in (baseline, variant)]
            prefill = median_interval(variant[:, :1], seed)
            found |= {
                "generation.prefill_ms": prefill,
                "generation.prefill_tokens_per_s": per_second(prefill, round(self.generation.mean_tokens)),
                "generation.prefill_speedup": ratio_interval(baseline[:, :1], variant[:, :1]),
                "generation.decode_ms_per_token": median_interval(paces[1], seed),
                "generation.decode_tokens_per_s": per_second(over_turns(variant[:, 1:], mean_of, seed), 1),
                "generation.decode_speedup": ratio_interval(*paces),
            }
        return found


def mean_of(calls: Floats) -> Floats:
    """Return the mean along the last axis."""
    return np.asarray(calls.mean(axis=-1))


def percentile_of(calls: Floats, rank: int) -> Floats:
    """Return a percentile along the last axis."""
    return np.asarray(np.percentile(calls, rank, axis=-1))


def per_second(time_ms: Interval, amount: float) -> Interval:
    """Return the rate at which an amount is done in this time; the bounds change places."""
    value, low, high = (1000 * amount / ms for ms in (time_ms.value, time_ms.high, time_ms.low))
    return Interval(value=value, low=low, high=high)


def time_pair(pair: Pair, bench: Bench, idle: Idle) -> Timed:
    """Time both sides of an open pair in turn at each batch size, then token by token where both generate; then measure
    the variant's energy."""
    before = read_counters(pair.device)
    generates = pair.generates and bench.new_tokens > 0
    disturbed_turns = DisturbedTurns(bench.turns * (len(bench.batch_sizes) + generates))
    _, resting_rss = (worker.ask("reset_peak")["rss"] for worker in (pair.baseline, pair.variant))
    batches: dict[int, PairedTimes] = {}
    with (
        Trace(pair.variant.pid, bench.trace_interval_s, pair.device) as trace,
        Progress("timing both sides in turn", len(bench.batch_sizes)) as progress,
    ):
        for batch_size in bench.batch_sizes:
            batches[batch_size] = measure_batch(pair, bench, batch_size, disturbed_turns, progress.add)
    generation = time_generation(pair, bench, disturbed_turns) if generates else None
    peaks = [worker.ask("peak") for worker in (pair.baseline, pair.variant)]
    return Timed(
        batches=batches,
        generation=generation,
        memory=memory(pair, resting_rss, peaks),
        load=load(pair),
        before=before,
        after=read_counters(pair.device),
        energy=energy_per_sample(pair.variant, bench, pair.device, idle),
        disturbed_turns=disturbed_turns,
        trace=trace.samples,
    )


def time_generation(pair: Pair, bench: Bench, disturbed_turns: DisturbedTurns) -> PairedTimes:
    """Let both sides decode after the same prompts in turn. The prompts are shorter than bench.prompt_tokens where the
    texts are shorter or the model reads fewer tokens."""
    longest = pair.sides[0].longest() or bench.prompt_tokens + bench.new_tokens
    length = min(bench.prompt_tokens, longest - bench.new_tokens, *(int(own.offsets[-1]) for own in pair.own))
    prompts = [own.cut(length) for own in pair.own]
    generator = np.random.default_rng(pair.number)
    times: tuple[list[list[float]], list[list[float]]] = ([], [])
    with Progress("timing generation", bench.turns + 1) as progress:
        for number in range(bench.turns + 1):
            drawn = generator.integers(0, min(map(len, prompts)), 1)
            asked = [one.batch(drawn)["input_ids"][0].tolist() for one in prompts]
            arguments = [{"prompt": prompt, "new_tokens": bench.new_tokens} for prompt in asked]
            if number == 0:  # the warm-up
                for side, given in zip((pair.baseline, pair.variant), arguments, strict=True):
                    side.ask("generate", **given)
            else:
                answers = in_turn(pair, number, disturbed_turns, "generate", arguments)
                for of_side, answer in zip(times, answers, strict=True):
                    of_side.append([ns / 1e6 for ns in answer["ns"]])
            progress.add(1)
    baseline, variant = (np.array(side) for side in times)
    return PairedTimes(baseline, variant, mean_tokens=float(length), median_width=float(length), gpu=None)


def memory(pair: Pair, resting_rss: int, peaks: Sequence[dict[str, Any]]) -> Memory:
    """Return the memory that loading and calling added, in bytes.

    Args:
        resting_rss: bytes of the variant, loaded, before the timed calls.
        peaks: the peaks of baseline and variant during the timed calls.
    """
    loaded, (baseline_peak, peak) = pair.variant.loaded, peaks
    gpu = peak["gpu"] or {}
    return Memory(
        peak_rss_bytes=max(loaded["peak_rss"], peak["peak_rss"]),
        library_rss_bytes=loaded["library_rss"],
        load_added_rss_bytes=max(0, loaded["rss"] - loaded["library_rss"]),
        inference_added_rss_bytes=max(0, peak["peak_rss"] - resting_rss),
        baseline_peak_rss_bytes=max(pair.baseline.loaded["peak_rss"], baseline_peak["peak_rss"]),
        pss_bytes=loaded["pss"],
        gpu_allocated_bytes=gpu.get("allocated"),
        gpu_reserved_bytes=gpu.get("reserved"),
        gpu_process_bytes=gpu.get("process"),
    )


def load(pair: Pair) -> Load:
    """Return the times of loading and of the first call, which includes compilation where the runtime compiles."""
    loaded = pair.variant.loaded
    compiling = (loaded["first_call_ns"] - loaded["later_call_ns"]) / 1e6 if pair.sides[1].runtime.compiles else None
    return Load(
        load_time_ms=loaded["load_ns"] / 1e6,
        first_call_ms=loaded["first_call_ns"] / 1e6,
        compile_ms=compiling,
    )
