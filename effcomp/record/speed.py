"""Speed of a model."""

from typing import Annotated

from pydantic import Field

from effcomp.core.interval import Interval
from effcomp.core.pairs import Deviation
from effcomp.record.generation import Writing
from effcomp.record.quantity import Quantity
from effcomp.record.row import Row

FASTER = ("faster", "slower")
Number = Interval | float
"""Number with its interval over pairs of processes; plain in older records, and for a single pair where the deviation
between pairs is not known."""


class Pairs(Row):
    """Number in each pair of fresh processes; the pairs were measured one after another."""

    values: Annotated[list[Interval], Field(min_length=1)]
    """Value of each pair, with the confidence interval over its turns."""
    between: Deviation
    """Deviation between pairs: of these or, for a single pair, of earlier measurements on this machine."""


class Floor(Row):
    """The least time that a call can take on this machine (Williams et al. 2009, Roofline)."""

    operations: int
    """Multiplications and additions of a call with a batch of the median padded length, each counted."""
    bytes: int
    """Stored weights that a call has to read, without the embedding tables."""
    floor_ms: float
    """The larger of operations over the machine's rate in the format's arithmetic, and bytes over its bandwidth (of the
    last cache for those that fit into it)."""
    share: Annotated[
        float, Quantity("of the floor", "%", scale=100, digits=0, better="higher", entry="first", column=True)
    ]
    """floor_ms over the median latency: 1 would be a perfect kernel."""
    rates_exceeded: bool | None = None
    """True if the call was faster than the measured rates allow, so they were too low; floor_ms is then its own time.
    None in records of schemas before 5."""


class Generation(Row):
    """Token by token generation with a cache, after one prompt at batch size 1."""

    prompt_tokens: int
    """Length of the prompt."""
    new_tokens: int
    """Tokens written after it."""
    prefill_ms: Annotated[
        Interval,
        Quantity(
            "prefill",
            "ms",
            better="lower",
            words=FASTER,
            objective=True,
            speedup="prefill_speedup",
            column=True,
            brief=True,
        ),
    ]
    """From the prompt to its first token."""
    prefill_speedup: Annotated[Interval, Quantity("speed-up, prefill", "x", better="higher", column=True)]
    """Time of the baseline over time of this artifact, both called in turn."""
    prefill_pairs: Pairs | None = None
    """`prefill_ms` in each pair; None in older records."""
    prefill_speedup_pairs: Pairs | None = None
    """`prefill_speedup` in each pair; None in older records."""
    prefill_tokens_per_s: Number
    """Tokens of the prompt that are read in a second."""
    decode_ms_per_token: Annotated[
        Interval,
        Quantity(
            "decode",
            "ms a token",
            better="lower",
            words=FASTER,
            objective=True,
            speedup="decode_speedup",
            column=True,
            brief=True,
            headline="decode_ms",
        ),
    ]
    """The mean over a turn's tokens but the first, the median over turns."""
    decode_speedup: Annotated[Interval, Quantity("speed-up, decode", "x", better="higher", column=True)]
    """Time of the baseline over time of this artifact for a token after the first, the mean of each turn."""
    decode_pairs: Pairs | None = None
    """`decode_ms_per_token` in each pair; None in older records."""
    decode_speedup_pairs: Pairs | None = None
    """`decode_speedup` in each pair; None in older records."""
    decode_tokens_per_s: Number
    """Tokens that are written in a second, the first one not counted."""


class Scenarios(Row):
    """MLPerf's scenarios (Reddi et al. 2020, section III-C); None: not asked for."""

    single_stream_p90_ms: float | None = None
    """The 90th percentile of the latency of one request after another."""
    offline_samples_per_s: float | None = None
    """All samples are available at once, sorted by length, 32 at a time."""
    server_requests_per_s: Annotated[
        float | None,
        Quantity(
            "rate within p99",
            "requests/s",
            digits=1,
            better="higher",
            words=("a higher rate", "a lower rate"),
            objective=True,
        ),
    ] = None
    """The highest Poisson rate at which p99 from arrival to answer keeps the bound; 0: none does."""
    server_p99_ms: float | None = None
    """The 99th percentile at that rate."""
    server_bound_ms: float | None = None
    """The bound that was asked for."""


class BatchSpeed(Row):
    """Speed at a batch size. Times are of a whole batch, padding included, from token ids to logits."""

    calls: int
    """Timed calls."""
    latency_p50_ms: Interval
    """Median of the calls of a pair; geometric mean over pairs."""
    latency_p50_pairs: Pairs | None = None
    """Median in each pair; None in older records."""
    latency_p90_ms: Number
    """90 of 100 calls of a pair take no longer; geometric mean over pairs, as for the next five numbers."""
    latency_p95_ms: Number
    """95 of 100."""
    latency_p99_ms: Number
    """99 of 100."""
    latency_mean_ms: Number
    """The arithmetic mean."""
    throughput_samples_per_s: Annotated[
        Number,
        Quantity(
            "throughput at the largest batch",
            "samples/s",
            digits=1,
            better="higher",
            words=FASTER,
            objective=True,
            speedup="speedup",
            headline="samples_per_s",
        ),
    ]
    """Batch size over the mean latency."""
    throughput_tokens_per_s: Annotated[
        Number,
        Quantity(
            "throughput at the largest batch",
            "tokens/s",
            digits=1,
            better="higher",
            words=FASTER,
            objective=True,
            speedup="speedup",
        ),
    ]
    """Real tokens: padding is not counted."""
    baseline_latency_p50_ms: float
    """The float32 baseline's median on the same batches."""
    speedup: Annotated[
        Interval,
        Quantity("speed-up, batch {key}", "x", better="higher", column=True, headline="speedup_largest_batch"),
    ]
    """Time of the baseline over time of this artifact on the same batch, both called in turn: median of a pair,
    geometric mean over pairs."""
    speedup_pairs: Pairs | None = None
    """Speed-up in each pair; None in older records."""
    recorded_baseline_latency_p50_ms: float | None = None
    """Median of the float32 baseline whose calls are recorded as CUDA graphs, with nothing compiled, on the same
    batches; None on a CPU, and where they cannot be recorded."""
    recorded_speedup: Annotated[
        Interval | None, Quantity("over the recorded baseline, batch {key}", "x", better="higher", column=True)
    ] = None
    """Time of the recorded baseline over time of this artifact. An eager baseline waits for the processor to launch its
    kernels, a recorded one does not."""
    gpu_time_p50_ms: float | None = None
    """Between the GPU's own events; None on a CPU."""
    floor: Floor | None = None
    """Least time on this machine; None in records of schema 1."""


class Stopping(Row):
    """Pairs that were added until the speed-up was precise (bench.precision)."""

    precision: float
    """Distance from the speed-up to its upper bound that was asked for, as a share of the speed-up."""
    pairs: int
    """Pairs that were measured."""
    reached: bool
    """True if the interval is as narrow; False if the largest number of pairs was measured before it was."""
    looks: int
    """Looks at the interval, at most. All intervals over pairs have the level 1 - 0.05 / looks, so that the reported
    ones hold a repeat of as many pairs in 95 % of measurements."""


class Predicted(Row):
    """Speed of the pruned shapes by the table of layer times that was measured before the training."""

    speedup: float
    """Time of the baseline over time of a model of these shapes, at the first batch size, as Speed.speedup."""
    latency_p50_ms: float
    """Latency of such a model."""
    shapes: list[list[int]]
    """[heads, neurons] of each layer that stayed."""


class Speed(Row):
    """Latency and throughput by batch size, and the paired speed-up."""

    latency_p50_ms: Annotated[
        Interval,
        Quantity(
            "latency p50",
            "ms",
            better="lower",
            words=FASTER,
            objective=True,
            speedup="speedup",
            column=True,
            brief=True,
            headline="latency_ms",
        ),
    ]
    """Latency at the first batch size, as `speedup`."""
    speedup: Annotated[
        Interval, Quantity("speed-up", "x", better="higher", words=FASTER, objective=True, headline="speedup")
    ]
    """Speed-up at the first batch size."""
    by_batch_size: Annotated[dict[int, BatchSpeed], Field(min_length=1)]
    """By the number of sequences in a batch."""
    fixed_length: int | None = None
    """Tokens of every timed sequence; None: the texts' own lengths."""
    generation: Generation | None = None
    """Decoders alone."""
    scenarios: Scenarios | None = None
    """Scenarios that were asked for; None without any."""
    stopping: Stopping | None = None
    """Precision that was asked for; None where the number of pairs was fixed."""
    predicted: Predicted | None = None
    """Prediction for prune.target=speedup:... and latency_ms:...; None without."""
    writing: Writing | None = None
    """Tasks that write alone; None in records of schema 1 and 2."""
