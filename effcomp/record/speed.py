"""How fast a model is."""

from typing import Annotated

from pydantic import Field

from effcomp.core.interval import Interval
from effcomp.record.generation import Writing
from effcomp.record.row import Row


class Floor(Row):
    """The least time that a call can take on this machine (Williams et al. 2009, Roofline)."""

    operations: int
    """Multiplications and additions of a call with a batch of the mean padded length, each counted."""
    bytes: int
    """Stored weights that a call has to read, without the embedding tables."""
    floor_ms: float
    """The larger of operations over the machine's rate in the format's arithmetic, and bytes over its bandwidth (of the
    last cache for those that fit into it)."""
    share: float
    """floor_ms over the median latency: 1 would be a perfect kernel."""
    rates_exceeded: bool = False
    """The call was faster than the measured rates allow, so they were too low; floor_ms is then its own time."""


class Generation(Row):
    """One token after another, with a cache, behind one prompt at batch size 1."""

    prompt_tokens: int
    """Length of the prompt."""
    new_tokens: int
    """Tokens written behind it."""
    prefill_ms: Interval
    """From the prompt to its first token."""
    prefill_tokens_per_s: float
    """Tokens of the prompt that are read in a second."""
    decode_ms_per_token: Interval
    """The median over all written tokens but the first."""
    decode_tokens_per_s: float
    """Tokens that are written in a second, the first one not counted."""
    prefill_speedup: Interval
    """Time of the baseline over time of this artifact, both called in turn."""
    decode_speedup: Interval
    """The same for the tokens behind the first."""


class Scenarios(Row):
    """MLPerf's scenarios (Reddi et al. 2020, section III-C); None: not asked for."""

    single_stream_p90_ms: float | None = None
    """The 90th percentile of the latency of one request after another."""
    offline_samples_per_s: float | None = None
    """Everything is there at once, sorted by length, 32 at a time."""
    server_requests_per_s: float | None = None
    """The highest Poisson rate at which p99 from arrival to answer keeps the bound; 0: none does."""
    server_p99_ms: float | None = None
    """At that rate."""
    server_bound_ms: float | None = None
    """The bound that was asked for."""


class BatchSpeed(Row):
    """One batch size. Times are of a whole batch, padding included, from token ids to logits."""

    calls: int
    """Timed calls."""
    latency_p50_ms: Interval
    """The median of all calls."""
    latency_p90_ms: float
    """90 of 100 calls take no longer."""
    latency_p95_ms: float
    """95 of 100."""
    latency_p99_ms: float
    """99 of 100."""
    latency_mean_ms: float
    """The arithmetic mean."""
    throughput_samples_per_s: float
    """Batch size over the mean latency."""
    throughput_tokens_per_s: float
    """Real tokens: padding is not counted."""
    baseline_latency_p50_ms: float
    """The float32 baseline's median on the same batches."""
    speedup: Interval
    """Time of the baseline over time of this artifact on the same batch, both called in turn: the median."""
    gpu_time_p50_ms: float | None = None
    """Between the GPU's own events; None on a CPU."""
    floor: Floor | None = None
    """How near this comes to what the machine can do; None in records of schema 1."""


class Speed(Row):
    """Latency and throughput by batch size, and the paired speed-up."""

    latency_p50_ms: Interval
    """At the first batch size, as `speedup`."""
    speedup: Interval
    """At the first batch size."""
    by_batch_size: Annotated[dict[int, BatchSpeed], Field(min_length=1)]
    """By the number of sequences in a batch."""
    fixed_length: int | None = None
    """Tokens of every timed sequence; None: the texts' own lengths."""
    generation: Generation | None = None
    """Decoders alone."""
    scenarios: Scenarios | None = None
    """None: none was asked for."""
    writing: Writing | None = None
    """Tasks that write alone; None in records of schema 1 and 2."""
