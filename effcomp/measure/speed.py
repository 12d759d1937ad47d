"""Rows of the Record about speed, from the times of all pairs."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from effcomp.core.interval import Interval
from effcomp.core.measurements import over_measurements
from effcomp.core.pairs import PRIOR, Deviation, over_pairs, pairs_interval
from effcomp.measure.pair import PairedTimes
from effcomp.measure.timing import Timed
from effcomp.record import BatchSpeed, Energy, Generation, Pairs, Row
from effcomp.record.speed import Number

R = TypeVar("R", bound=Row)


class Known(NamedTuple):
    """Deviations that one measurement does not show, by the name of the number."""

    between_pairs: Callable[[str], Deviation | None]
    """For a single pair; None where it is not known. Numbers of speed always have one."""
    between_measurements: Callable[[str], Deviation | None]
    """None for numbers that do not follow the speed of the machine."""


class OverPairs:
    """Numbers over the pairs of one measurement."""

    def __init__(self, timed: Sequence[Timed], known: Known, looks: int, seed: int) -> None:
        """Estimate every number in each pair.

        Args:
            looks: number of looks that the intervals are corrected for.
        """
        estimates, self.known, self.looks = [one.estimates(seed) for one in timed], known, looks
        self.by_name = {name: [found[name] for found in estimates] for name in estimates[0]}

    def interval(self, name: str) -> Interval:
        """Return the number with its interval over pairs."""
        return self.at_another_hour(name, pairs_interval(self.by_name[name], self.deviation(name), self.looks))

    def intervals(self, row: str) -> dict[str, Interval]:
        """Return all numbers of a row of the Record (`batch_32`, `generation`), by their fields."""
        names = [name for name in self.by_name if name.startswith(f"{row}.")]
        return {name.removeprefix(f"{row}."): self.interval(name) for name in names}

    def number(self, name: str, values: Sequence[float]) -> Number:
        """Return a number that has no turns, given its value in each pair (`over_pairs`)."""
        found = over_pairs(values, self.known.between_pairs(name) if len(values) == 1 else None, self.looks)
        return self.at_another_hour(name, found) if isinstance(found, Interval) else found

    def at_another_hour(self, name: str, interval: Interval) -> Interval:
        """Return the interval of a number with the deviation between measurements, where it has one."""
        between = self.known.between_measurements(name)
        return interval if between is None else over_measurements(interval, between, self.looks)

    def row(self, name: str) -> Pairs:
        """Return the number in each pair, and the deviation between pairs that its interval uses."""
        return Pairs(values=self.by_name[name], between=self.deviation(name))

    def deviation(self, name: str) -> Deviation:
        """Return the deviation of a number of speed between these pairs or, for a single one, between others."""
        values = [one.value for one in self.by_name[name]]
        return Deviation.of(values) if len(values) > 1 else self.known.between_pairs(name) or PRIOR


def batch_speed(pairs: Sequence[PairedTimes], batch_size: int, over: OverPairs) -> BatchSpeed:
    """Compute percentiles, throughput and the paired speed-up of one batch size."""
    gpu = [times.gpu.ravel() for times in pairs if times.gpu is not None]
    recorded = [times.recorded.ravel() for times in pairs if times.recorded is not None]
    row = f"batch_{batch_size}"
    return BatchSpeed(
        calls=sum(times.variant.size for times in pairs),
        latency_p50_pairs=over.row(f"{row}.latency_p50_ms"),
        baseline_latency_p50_ms=float(np.median(np.concatenate([times.baseline.ravel() for times in pairs]))),
        speedup_pairs=over.row(f"{row}.speedup"),
        recorded_baseline_latency_p50_ms=float(np.median(np.concatenate(recorded))) if recorded else None,
        gpu_time_p50_ms=float(np.median(np.concatenate(gpu))) if gpu else None,
        **over.intervals(row),
    )


def generation_speed(pairs: Sequence[PairedTimes], over: OverPairs) -> Generation:
    """Compute the speed of reading the prompt and of writing after it.

    Args:
        pairs: times of each pair, (turns, 1 + new tokens).
    """
    return Generation(
        prompt_tokens=round(pairs[0].mean_tokens),
        new_tokens=pairs[0].variant.shape[1] - 1,
        prefill_pairs=over.row("generation.prefill_ms"),
        decode_pairs=over.row("generation.decode_ms_per_token"),
        prefill_speedup_pairs=over.row("generation.prefill_speedup"),
        decode_speedup_pairs=over.row("generation.decode_speedup"),
        **over.intervals("generation"),
    )


def energy_over_pairs(rows: Sequence[Energy], over: OverPairs) -> Energy:
    """Return the energy of a sample over pairs, and the highest power of all."""
    joules = [row.energy_per_sample_j for row in rows if isinstance(row.energy_per_sample_j, float)]
    if not joules:
        return rows[0]
    peaks = [row.peak_power_w for row in rows if row.peak_power_w is not None]
    number = over.number("energy.energy_per_sample_j", joules)
    return rows[0].model_copy(update={"energy_per_sample_j": number, "peak_power_w": max(peaks, default=None)})


def row_over_pairs(rows: Sequence[R], name: str, over: OverPairs) -> R:
    """Return a row whose numbers are those of each pair's row over pairs (`over_pairs`); whole numbers without an
    interval stay whole.

    Args:
        rows: of one class; a field is None in all of them or in none.
        name: name of the row in the Record: `memory`.
    """
    fields: dict[str, Any] = {}
    for field in type(rows[0]).model_fields:
        values = [getattr(row, field) for row in rows]
        found = None if None in values else over.number(f"{name}.{field}", values)
        fields[field] = round(found) if isinstance(found, float) and isinstance(values[0], int) else found
    return type(rows[0])(**fields)
