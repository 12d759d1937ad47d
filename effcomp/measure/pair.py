"""A baseline and a variant in two fresh processes, measured against each other."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from effcomp.device import Device
from effcomp.measure.bench import Bench
from effcomp.measure.client import Worker
from effcomp.measure.trace import Sample, Trace
from effcomp.ragged import Ragged
from effcomp.record import BatchSpeed, Kernel, Speed
from effcomp.runtimes.base import Runtime
from effcomp.statistics import median_interval, ratio_interval

MOST_KERNELS = 8


class Side(NamedTuple):
    artifact: Path
    runtime: Runtime


class Pair:
    """The two processes. Use it as a context manager: both end with the block."""

    baseline: Worker
    variant: Worker

    def __init__(self, sides: tuple[Side, Side], inputs: Path, device: Device) -> None:
        self.sides, self.inputs_file, self.device = sides, inputs, device
        self.inputs = Ragged.load(inputs)
        self._open = ExitStack()

    def __enter__(self) -> "Pair":
        with ExitStack() as stack:
            self.baseline, self.variant = (
                stack.enter_context(Worker(side.artifact, self.inputs_file, side.runtime, self.device))
                for side in self.sides
            )
            for worker in (self.baseline, self.variant):
                worker.wait_until_started()
            for worker in (self.baseline, self.variant):  # one after the other, with nothing else at work
                worker.load()
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()


@dataclass(frozen=True)
class Memory:
    peak_rss_bytes: int
    library_rss_bytes: int
    load_added_rss_bytes: int
    inference_added_rss_bytes: int


@dataclass(frozen=True)
class Measured:
    """What a pair showed: the variant's numbers, and the baseline's where they are compared."""

    speed: Speed
    memory: Memory
    baseline_memory: Memory
    load_time_ms: float
    first_call_ms: float
    cpu_capability: str
    kernels: list[Kernel]
    trace: list[Sample]


def measure(pair: Pair, bench: Bench, seed: int) -> Measured:
    """Time both sides in turn at each batch size; then ask for memory and kernels."""
    from tqdm import tqdm

    resting = [worker.ask("reset_peak")["rss"] for worker in (pair.baseline, pair.variant)]
    total = bench.turns * len(bench.batch_sizes)
    with (
        Trace(pair.variant.process.pid, bench.trace_interval_s) as trace,
        tqdm(total=total, desc="measuring", unit="turn", leave=False, disable=not sys.stderr.isatty()) as bar,
    ):
        by_batch_size = {
            batch_size: summarise(measure_batch(pair, bench, batch_size, lambda: bar.update()), batch_size, seed)
            for batch_size in bench.batch_sizes
        }
    peaks = [worker.ask("peak")["peak_rss"] for worker in (pair.baseline, pair.variant)]
    kernels = pair.variant.ask("kernels", batch=[0], most=MOST_KERNELS)["kernels"]
    loaded, first = pair.variant.loaded, by_batch_size[bench.batch_sizes[0]]
    return Measured(
        speed=Speed(latency_p50_ms=first.latency_p50_ms, speedup=first.speedup, by_batch_size=by_batch_size),
        memory=memory(pair.variant, resting[1], peaks[1]),
        baseline_memory=memory(pair.baseline, resting[0], peaks[0]),
        load_time_ms=loaded["load_ns"] / 1e6,
        first_call_ms=loaded["first_call_ns"] / 1e6,
        cpu_capability=loaded["cpu_capability"],
        kernels=[Kernel(**kernel) for kernel in kernels],
        trace=trace.samples,
    )


@dataclass(frozen=True)
class PairedTimes:
    """Milliseconds of each call, (turns, calls): row t of both was taken one right after the other, on
    the same batches."""

    baseline: NDArray[np.float64]
    variant: NDArray[np.float64]
    mean_tokens: float
    """Real tokens of a batch, padding not counted."""


def measure_batch(pair: Pair, bench: Bench, batch_size: int, progress: Callable[[], object]) -> PairedTimes:
    """Call both sides in turn on the same real examples; which one goes first alternates."""

    def turn(worker: Worker, batches: list[list[int]]) -> list[float]:
        return [ns / 1e6 for ns in worker.ask("turn", batches=batches)["ns"]]

    def draw(calls: int, number: int) -> list[list[int]]:
        generator = np.random.default_rng([batch_size, number])
        batches: list[list[int]] = generator.integers(0, len(pair.inputs), size=(calls, batch_size)).tolist()
        return batches

    workers = (pair.baseline, pair.variant)
    for number in range(bench.warmup_turns):
        slowest_ms = max(np.median(turn(worker, draw(2, bench.turns + number))) for worker in workers)
    calls = max(1, round(bench.turn_ms / slowest_ms))
    times: tuple[list[list[float]], list[list[float]]] = ([], [])
    tokens = []
    for number in range(bench.turns):
        batches = draw(calls, number)
        tokens.append(pair.inputs.lengths[np.array(batches)].sum(axis=1).mean())
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            times[side].append(turn(workers[side], batches))
        progress()
    return PairedTimes(np.array(times[0]), np.array(times[1]), float(np.mean(tokens)))


def summarise(times: PairedTimes, batch_size: int, seed: int) -> BatchSpeed:
    """Percentiles, throughput and the paired speed-up of one batch size."""
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
    )


def memory(worker: Worker, resting_rss: int, peak_rss: int) -> Memory:
    """What loading and calling added. resting_rss: loaded, before the timed calls; peak_rss: during them."""
    loaded = worker.loaded
    return Memory(
        peak_rss_bytes=max(loaded["peak_rss"], peak_rss),
        library_rss_bytes=loaded["library_rss"],
        load_added_rss_bytes=max(0, loaded["rss"] - loaded["library_rss"]),
        inference_added_rss_bytes=max(0, peak_rss - resting_rss),
    )
