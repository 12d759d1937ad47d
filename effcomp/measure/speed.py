"""Rows of the Record about speed, from the times of all pairs."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from effcomp.core.interval import Interval
from effcomp.core.pairs import PRIOR, BetweenPairs, over_pairs, pairs_interval
from effcomp.measure.pair import PairedTimes
from effcomp.measure.timing import Timed
from effcomp.record import BatchSpeed, Generation, Pairs, Row
from effcomp.record.speed import Number

R = TypeVar("R", bound=Row)


class OverPairs:
    """Median times and speed-ups over the pairs of one measurement."""

    def __init__(self, timed: Sequence[Timed], known: Mapping[str, BetweenPairs], looks: int, seed: int) -> None:
        """Estimate every number in each pair.

        Args:
            known: deviation between other pairs, by the name of the number, for a single pair. A name that it lacks has
                PRIOR.
            looks: number of looks that the intervals are corrected for.
        """
        estimates, self.known, self.looks = [one.estimates(seed) for one in timed], known, looks
        self.by_name = {name: [found[name] for found in estimates] for name in estimates[0]}

    def interval(self, name: str) -> Interval:
        """Return the number with its interval over pairs."""
        return pairs_interval(self.by_name[name], self.known.get(name, PRIOR), self.looks)

    def number(self, values: Sequence[float]) -> Number:
        """Return a further number, given its value in each pair (`over_pairs`)."""
        return over_pairs(values, self.looks)

    def row(self, name: str) -> Pairs:
        """Return the number in each pair, and the deviation between pairs that its interval uses."""
        values = self.by_name[name]
        between = BetweenPairs.of([one.value for one in values]) if len(values) > 1 else self.known.get(name, PRIOR)
        return Pairs(values=values, between=between)


def batch_speed(pairs: Sequence[PairedTimes], batch_size: int, over: OverPairs) -> BatchSpeed:
    """Compute percentiles, throughput and the paired speed-up of one batch size."""
    gpu = [times.gpu.ravel() for times in pairs if times.gpu is not None]
    means = [float(times.variant.mean()) for times in pairs]

    def percentile(rank: float) -> Number:
        return over.number([float(np.percentile(times.variant, rank)) for times in pairs])

    return BatchSpeed(
        calls=sum(times.variant.size for times in pairs),
        latency_p50_ms=over.interval(f"batch_{batch_size}.latency"),
        latency_p50_pairs=over.row(f"batch_{batch_size}.latency"),
        latency_p90_ms=percentile(90),
        latency_p95_ms=percentile(95),
        latency_p99_ms=percentile(99),
        latency_mean_ms=over.number(means),
        throughput_samples_per_s=over.number([1000 * batch_size / mean for mean in means]),
        throughput_tokens_per_s=over.number(
            [1000 * one.mean_tokens / mean for one, mean in zip(pairs, means, strict=True)]
        ),
        baseline_latency_p50_ms=float(np.median(np.concatenate([times.baseline.ravel() for times in pairs]))),
        speedup=over.interval(f"batch_{batch_size}.speedup"),
        speedup_pairs=over.row(f"batch_{batch_size}.speedup"),
        gpu_time_p50_ms=float(np.median(np.concatenate(gpu))) if gpu else None,
    )


def generation_speed(pairs: Sequence[PairedTimes], over: OverPairs) -> Generation:
    """Compute the speed of reading the prompt and of writing after it.

    Args:
        pairs: times of each pair, (turns, 1 + new tokens).
    """
    prompt_tokens, written = round(pairs[0].mean_tokens), [times.variant[:, 1:] for times in pairs]
    prefills = [1000 * prompt_tokens / one.value for one in over.by_name["prefill.latency"]]
    return Generation(
        prompt_tokens=prompt_tokens,
        new_tokens=written[0].shape[1],
        prefill_ms=over.interval("prefill.latency"),
        prefill_pairs=over.row("prefill.latency"),
        prefill_tokens_per_s=over.number(prefills),
        decode_ms_per_token=over.interval("decode.latency"),
        decode_pairs=over.row("decode.latency"),
        decode_tokens_per_s=over.number([1000 / float(times.mean()) for times in written]),
        prefill_speedup=over.interval("prefill.speedup"),
        prefill_speedup_pairs=over.row("prefill.speedup"),
        decode_speedup=over.interval("decode.speedup"),
        decode_speedup_pairs=over.row("decode.speedup"),
    )


def row_over_pairs(rows: Sequence[R], over: OverPairs) -> R:
    """Return a row whose numbers are those of each pair's row over pairs (`over_pairs`); of whole numbers without an
    interval the mean is rounded. A single row stays as it is.

    Args:
        rows: of one class; a field is None in all of them or in none.
    """
    if len(rows) == 1:
        return rows[0]
    fields: dict[str, Any] = {}
    for name in type(rows[0]).model_fields:
        values = [getattr(row, name) for row in rows]
        found = None if None in values else over.number(values)
        fields[name] = round(found) if isinstance(found, float) and isinstance(values[0], int) else found
    return type(rows[0])(**fields)
