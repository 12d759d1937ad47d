"""Measurement of a pair, in this order: speed, memory, generation, scenarios, energy, kernels."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effcomp.core import machine
from effcomp.core.device import Device
from effcomp.core.processors import ComputeDtype
from effcomp.core.progress import Progress
from effcomp.core.statistics import median_interval, ratio_interval
from effcomp.measure import conditions, energy, roofline
from effcomp.measure.bench import Bench
from effcomp.measure.client import Worker
from effcomp.measure.disturbance import Repeats
from effcomp.measure.kernels import executed_kernels
from effcomp.measure.pair import Pair, PairedTimes, in_turn, measure_batch
from effcomp.measure.trace import Trace
from effcomp.quant.lowering import Lowering, lowering
from effcomp.record import (
    BatchSpeed,
    Conditions,
    Energy,
    Floor,
    Generation,
    Kernels,
    Load,
    Machine,
    Memory,
    Scenarios,
    Speed,
)
from effcomp.record.trace import Sample

log = logging.getLogger(__name__)

SCENARIO_SECONDS = 2.0
POWER_INTERVAL_S = 0.1
"""Interval between readings of power, in seconds; NVML averages over a tenth of a second or more."""
Times = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Measured:
    """Measured rows of a pair: the variant's numbers, and the baseline's where they are compared."""

    speed: Speed
    memory: Memory
    energy: Energy
    load: Load
    machine: Machine
    kernels: Kernels
    conditions: Conditions
    trace: list[Sample]
    raw: Times
    """Time of every call in milliseconds, (turns, calls), by the name of the series."""


@dataclass(frozen=True)
class Idle:
    """State of the machine before effcomp starts a process."""

    counter: energy.Counter | str
    power_w: float | None


def watch_idle(bench: Bench, pair: Pair) -> Idle:
    """Measure the idle power, where there is a counter and energy is to be measured."""
    if bench.energy_seconds == 0:
        return Idle("bench.energy_seconds is 0", None)
    counter = energy.energy_counter(pair.device)
    return Idle(counter, None if isinstance(counter, str) else energy.idle_power_w(counter))


def measure(
    pair: Pair, bench: Bench, rates_of: Callable[[Worker], dict[str, float]], idle: Idle, seed: int
) -> Measured:
    """Time both sides in turn at each batch size; then take the other measurements of the variant.

    Args:
        rates_of: function that measures the machine's rates in a worker, called when the worker's own numbers are
        taken.
    """
    before = conditions.read(pair.device)
    _, resting_rss = (worker.ask("reset_peak")["rss"] for worker in (pair.baseline, pair.variant))
    total = bench.turns * len(bench.batch_sizes)
    times: dict[int, PairedTimes] = {}
    repeats = Repeats(total + (bench.turns if pair.generates else 0))
    with (
        Trace(pair.variant.pid, bench.trace_interval_s, pair.device) as trace,
        Progress("timing both sides in turn", len(bench.batch_sizes)) as progress,
    ):
        for batch_size in bench.batch_sizes:
            times[batch_size] = measure_batch(pair, bench, batch_size, repeats, progress.add)
    after = conditions.read(pair.device)
    peaks = [worker.ask("peak") for worker in (pair.baseline, pair.variant)]
    raw = {f"batch_{size}.{side}": getattr(t, side) for size, t in times.items() for side in ("baseline", "variant")}
    speeds = {size: summarise(paired, size, seed) for size, paired in times.items()}
    generation, ran_scenarios = generate(pair, bench, seed, repeats, raw), scenarios(pair.variant, bench, seed)
    used = energy_per_sample(pair.variant, bench, pair.device, idle)
    kernels = executed_kernels(pair)
    rates = rates_of(pair.baseline)
    side = pair.sides[1]
    compute_dtype = lowering(side.quant, side.runtime.name, Lowering).compute_dtype
    floors = floor(pair.variant, times, speeds, compute_dtype, rates)
    speeds = {size: speed.model_copy(update={"floor": floors.get(size)}) for size, speed in speeds.items()}
    first = speeds[bench.batch_sizes[0]]
    return Measured(
        speed=Speed(
            latency_p50_ms=first.latency_p50_ms,
            speedup=first.speedup,
            by_batch_size=speeds,
            fixed_length=bench.fixed_length,
            generation=generation,
            scenarios=ran_scenarios,
        ),
        memory=memory(pair, resting_rss, peaks),
        energy=used,
        load=load(pair),
        machine=machine_of(pair, rates),
        kernels=kernels,
        conditions=conditions.between(pair.device, before, after, trace.samples, repeats),
        trace=trace.samples,
        raw=raw,
    )


def summarise(times: PairedTimes, batch_size: int, seed: int) -> BatchSpeed:
    """Compute percentiles, throughput and the paired speed-up of one batch size."""
    p90, p95, p99 = np.percentile(times.variant, [90, 95, 99])
    mean = float(times.variant.mean())
    return BatchSpeed(
        calls=times.variant.size,
        latency_p50_ms=median_interval(times.variant, seed),
        latency_p90_ms=float(p90),
        latency_p95_ms=float(p95),
        latency_p99_ms=float(p99),
        latency_mean_ms=mean,
        throughput_samples_per_s=batch_size / mean * 1000,
        throughput_tokens_per_s=times.mean_tokens / mean * 1000,
        baseline_latency_p50_ms=float(np.median(times.baseline)),
        speedup=ratio_interval(times.baseline, times.variant),
        gpu_time_p50_ms=float(np.median(times.gpu)) if times.gpu is not None else None,
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


def machine_of(pair: Pair, rates: dict[str, float]) -> Machine:
    """Return the hardware of the measured processes, with its measured rates."""
    device = pair.device
    assert device.threads is not None, "a resolved device has its threads counted"
    return Machine(
        device=machine.device_name(device),
        device_kind=device.kind,
        instruction_sets=list(machine.cpu_info()[1]),
        cpu_capability=pair.variant.loaded["cpu_capability"],
        threads=device.threads,
        environment=device.environment(),
        rates=rates,
    )


def floor(
    worker: Worker,
    times: dict[int, PairedTimes],
    speeds: dict[int, BatchSpeed],
    compute_dtype: ComputeDtype,
    rates: dict[str, float],
) -> dict[int, Floor]:
    """Return the floor of a call's time at each batch size, and the variant's share of it; none where the operations
    cannot be counted.

    A call that is faster than its floor shows that the measured rates were too low: its own time is then the floor,
    which the row records.
    """
    shapes = [(size, round(paired.mean_width)) for size, paired in times.items()]
    floors, needed = dict[int, Floor](), worker.ask("floor", shapes=shapes)
    if "reason" in needed:
        log.warning("the floor is not measured: its arithmetic cannot be counted (%s)", needed["reason"])
        return floors
    for (size, _), operations in zip(shapes, needed["operations"], strict=True):
        least = 1000 * roofline.least_seconds(operations, needed["bytes"], compute_dtype, rates)
        median = speeds[size].latency_p50_ms.value
        floors[size] = Floor(
            operations=operations,
            bytes=needed["bytes"],
            floor_ms=min(least, median),
            share=min(least / median, 1.0),
            rates_exceeded=least > median,
        )
    return floors


def generate(pair: Pair, bench: Bench, seed: int, repeats: Repeats, raw: Times) -> Generation | None:
    """Let both sides decode after the same prompts in turn; None for models and runtimes that do not generate."""
    if not pair.generates or bench.new_tokens == 0:
        return None
    longest = pair.sides[0].longest() or bench.prompt_tokens + bench.new_tokens
    # The record has the length of the prompt, which is shorter where the texts or the model do not reach it.
    prompts = pair.own.cut(min(bench.prompt_tokens, longest - bench.new_tokens, int(pair.own.offsets[-1])))
    generator = np.random.default_rng(seed)
    times: tuple[list[list[float]], list[list[float]]] = ([], [])
    with Progress("timing generation", bench.turns + 1) as progress:
        for number in range(bench.turns + 1):
            prompt = prompts.batch(generator.integers(0, len(prompts), 1))["input_ids"][0].tolist()
            answers = in_turn(pair, number, repeats, "generate", prompt=prompt, new_tokens=bench.new_tokens)
            for side, answer in enumerate(answers if number > 0 else []):  # the first is the warm-up
                times[side].append([ns / 1e6 for ns in answer["ns"]])
            progress.add(1)
    baseline, variant = (np.array(side) for side in times)
    raw |= {"generation.baseline": baseline, "generation.variant": variant}
    prefill, decode = median_interval(variant[:, :1], seed), median_interval(variant[:, 1:], seed)
    prompt_tokens = int(prompts.lengths[0])
    return Generation(
        prompt_tokens=prompt_tokens,
        new_tokens=bench.new_tokens,
        prefill_ms=prefill,
        prefill_tokens_per_s=1000 * prompt_tokens / prefill.value,
        decode_ms_per_token=decode,
        decode_tokens_per_s=1000 / float(variant[:, 1:].mean()),
        prefill_speedup=ratio_interval(baseline[:, :1], variant[:, :1]),
        decode_speedup=ratio_interval(baseline[:, 1:], variant[:, 1:]),
    )


def scenarios(worker: Worker, bench: Bench, seed: int) -> Scenarios | None:
    """Run the variant in the chosen scenarios of MLPerf."""
    if not bench.scenarios:
        return None
    found: dict[str, float] = {}
    if "single_stream" in bench.scenarios:
        answer = worker.ask("scenario", name="single_stream", seconds=SCENARIO_SECONDS, seed=seed)
        found["single_stream_p90_ms"] = answer["result"]
    if "offline" in bench.scenarios or "server" in bench.scenarios:
        found["offline_samples_per_s"] = worker.ask("scenario", name="offline", seconds=SCENARIO_SECONDS)["result"]
    if "server" in bench.scenarios:
        fastest = found["offline_samples_per_s"]
        served = worker.ask("scenario", name="server", bound_ms=bench.server_p99_ms, fastest=fastest, seed=seed)
        found["server_bound_ms"] = bench.server_p99_ms
        found["server_requests_per_s"] = served["result"]["requests_per_s"]
        if served["result"]["requests_per_s"] > 0:
            found["server_p99_ms"] = served["result"]["p99_ms"]
    return Scenarios(**found)


def energy_per_sample(worker: Worker, bench: Bench, device: Device, idle: Idle) -> Energy:
    """Measure the energy above idle of work at the largest batch size, in joules per sample."""
    if isinstance(idle.counter, str):
        return Energy(energy_per_sample_j=f"unavailable: {idle.counter}")
    assert idle.power_w is not None, "where there is a counter the idle power was measured"
    before = idle.counter.joules()
    with Trace(worker.pid, POWER_INTERVAL_S, device) as trace:
        work = worker.ask("work", batch_size=max(bench.batch_sizes), seconds=bench.energy_seconds)
    used = idle.counter.joules() - before - idle.power_w * work["seconds"]
    peak = max((sample.gpu.power_w for sample in trace.samples if sample.gpu is not None), default=None)
    return Energy(
        energy_per_sample_j=used / work["samples"],
        counter=idle.counter.name,
        idle_power_w=idle.power_w,
        peak_power_w=peak,
    )
