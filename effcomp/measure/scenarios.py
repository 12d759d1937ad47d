"""MLPerf's scenarios (Reddi et al. 2020, "MLPerf Inference Benchmark", section III-C), run inside the measured process.

single_stream   one request after another; the 90th percentile of their latency
offline         all samples are there at the start; samples per second
server          requests arrive by a Poisson process; the highest rate at which p99 stays under a bound
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from effcomp.core.batches import Batch, Ragged, batches_by_length

Call = Callable[[Batch], object]
OFFLINE_BATCH = 32
SERVER_BATCH = 8
"""Maximum number of waiting requests that the server batches."""
SERVER_SECONDS = 3.0
"""Time for which each rate is offered, in seconds."""
STEPS = 6
"""Halvings of the interval that the highest rate lies in."""


@dataclass(frozen=True)
class SustainedRate:
    """Rate of requests at which the 99th percentile of latency keeps its bound."""

    requests_per_s: float
    """Highest rate that was offered and kept the bound; 0 when even the slowest broke it."""
    p99_ms: float
    """99th percentile of latency at that rate, in milliseconds."""


def single_stream_p90_ms(call: Call, inputs: Ragged, seconds: float, seed: int) -> float:
    generator, times = np.random.default_rng(seed), list[float]()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 10:
        batch = inputs.batch(generator.integers(0, len(inputs), 1))
        start = time.perf_counter()
        call(batch)
        times.append(time.perf_counter() - start)
    return float(np.percentile(times, 90)) * 1000


def offline_samples_per_s(call: Call, inputs: Ragged, seconds: float) -> float:
    """Return samples per second of all inputs in batches by length, repeated until the time is over."""
    batches = batches_by_length(inputs.lengths, OFFLINE_BATCH)
    order = np.random.default_rng(0).permutation(len(batches))  # a stop in the middle sees long and short ones
    done, start, number = 0, time.perf_counter(), 0
    while time.perf_counter() - start < seconds or number < 3:
        indices = batches[order[number % len(batches)]]
        call(inputs.batch(indices))
        done, number = done + len(indices), number + 1
    return done / (time.perf_counter() - start)


def server(call: Call, inputs: Ragged, bound_ms: float, fastest: float, seed: int) -> SustainedRate:
    """Return the highest rate that keeps p99 under the bound, by bisection between 0 and `fastest` (requests per
    second).
    """
    low, high, found = 0.0, fastest, SustainedRate(0.0, float("nan"))
    for step in range(STEPS):
        rate = (low + high) / 2
        p99 = p99_at(call, inputs, rate, bound_ms, seed + step)
        if p99 <= bound_ms:
            low, found = rate, SustainedRate(rate, p99)
        else:
            high = rate
    return found


def p99_at(call: Call, inputs: Ragged, rate: float, bound_ms: float, seed: int) -> float:
    """Return the 99th percentile of the time from arrival to answer, in ms, of requests offered at this rate."""
    generator = np.random.default_rng(seed)
    count = max(20, round(rate * SERVER_SECONDS))
    arrivals = np.cumsum(generator.exponential(1 / rate, count))
    asked = generator.integers(0, len(inputs), count)
    answered = serve(call, inputs, arrivals, asked, give_up_s=bound_ms / 1000 * 20)
    return float(np.percentile(answered - arrivals, 99, method="higher")) * 1000


def serve(
    call: Call, inputs: Ragged, arrivals: NDArray[np.float64], asked: NDArray[np.int64], give_up_s: float
) -> NDArray[np.float64]:
    """Return the time of each request's answer, in seconds from the start. Waiting requests are batched, up to
    SERVER_BATCH. When the oldest has waited longer than give_up_s, the queue only grows, and the rest counts as never
    answered."""
    answered, next_one = np.full(len(arrivals), np.inf), 0
    start = time.perf_counter()
    while next_one < len(arrivals):
        now = time.perf_counter() - start
        if arrivals[next_one] > now:
            time.sleep(arrivals[next_one] - now)
            continue
        if now - arrivals[next_one] > give_up_s:
            break
        waiting = int(np.searchsorted(arrivals, now, side="right")) - next_one
        taken = slice(next_one, next_one + min(waiting, SERVER_BATCH))
        call(inputs.batch(asked[taken]))
        answered[taken] = time.perf_counter() - start
        next_one = taken.stop
    return answered
