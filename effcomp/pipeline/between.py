"""Deviations on this machine that one measurement does not show: between pairs of fresh processes, for a single pair,
and between measurements."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from effcomp.core import machine, measurements
from effcomp.core.interval import Interval
from effcomp.core.pairs import LAUNCHED_PRIOR, LOAD_PRIOR, MEMORY_PRIOR, NOISY_PRIOR, PRIOR, TAIL, Deviation
from effcomp.record import Record, Row
from effcomp.record.comparable import is_noisy, setting_of_calls
from effcomp.record.result import stored_results
from effcomp.record.upgrade import HOLDS_A_REPEAT_SINCE

if TYPE_CHECKING:
    from effcomp.pipeline.stage import Run

WITHOUT_PRIOR = ("energy.", "memory.inference_added_rss_bytes")
"""Numbers of which nothing is assumed: energy, whose deviation depends on its counter, and a difference of peaks."""
OF_NO_HOUR = ("memory.", "energy.")
"""Numbers that do not follow the speed of the machine, or are not known to (energy), besides speed-ups."""


def earlier_records(run: "Run") -> Callable[[], list[Record]]:
    """Return a function that reads the stored records of this machine and number of threads, once."""

    @cache
    def read() -> list[Record]:
        setting = machine.device_name(run.device), run.device.threads
        found = (record for _, record in stored_results(run.store.root))
        return [one for one in found if (one.truth.machine.device, one.truth.machine.threads) == setting]

    return read


def between_pairs(run: "Run", earlier: Callable[[], list[Record]]) -> Callable[[str, bool], Deviation | None]:
    """Return a function that knows the deviation between pairs of a number, by its name (its row and field in the
    Record: `batch_32.speedup`, `load.load_time_ms`) and whether the machine was noisy.

    It pools those of the stored measurements on this machine, as quiet or as noisy, with this runtime and number of
    threads, and a prior, if it has one. No measurement is made for it: every configuration that is measured with two
    or more pairs adds its own. Another model may deviate by more or less. None: nothing is known.
    """

    @cache
    def measured() -> dict[tuple[str, bool], list[Deviation]]:
        found = defaultdict[tuple[str, bool], list[Deviation]](list)
        for record in earlier():
            if record.choices["runtime"] == run.components.runtime.name:
                for name, deviation in deviations(record):
                    found[name, is_noisy(record)].append(deviation)
        return found

    def known(name: str, noisy: bool) -> Deviation | None:
        assumed = [] if name.startswith(WITHOUT_PRIOR) else [prior(run, name, noisy)]
        found = [*measured()[name, noisy], *assumed]
        return Deviation.pooled(found) if found else None

    return known


def prior(run: "Run", name: str, noisy: bool) -> Deviation:
    """Return the deviation between pairs that is assumed of a number: of memory, of loading, or of speed, which on a
    GPU depends on whether a side of it waits for the processor to launch its kernels."""
    if name.startswith(("memory.", "load.")):
        return MEMORY_PRIOR if name.startswith("memory.") else LOAD_PRIOR
    against_eager = name.endswith("speedup") and not name.endswith("recorded_speedup")
    on_gpu = run.device.kind == "cuda"
    launched = on_gpu and (against_eager or not run.components.runtime.records)
    assumed = LAUNCHED_PRIOR if launched else NOISY_PRIOR if noisy else PRIOR
    return assumed.times(TAIL) if name.endswith(("_p95_ms", "_p99_ms")) else assumed


def deviations(record: Record) -> Iterator[tuple[str, Deviation]]:
    """Yield the deviation between pairs of every number of a record with two or more pairs, and with intervals of the
    current kind."""
    first = next(iter(record.speed.by_batch_size.values())).speedup_pairs
    if record.schema_version < HOLDS_A_REPEAT_SINCE or first is None or len(first.values) == 1:
        return
    looks = record.speed.stopping.looks if record.speed.stopping is not None else 1
    rows: dict[str, Row | None] = {f"batch_{size}": row for size, row in record.speed.by_batch_size.items()}
    cost = record.cost
    rows |= {"generation": record.speed.generation, "memory": cost.memory, "load": cost.load, "energy": cost.energy}
    for row, numbers in rows.items():
        for field, number in numbers or ():
            if isinstance(number, Interval) and number.degrees is not None:
                yield f"{row}.{field}", Deviation.from_interval(number, len(first.values), looks)


def between_measurements(run: "Run", earlier: Callable[[], list[Record]]) -> Callable[[str, bool], Deviation | None]:
    """Return a function that knows the deviation between measurements of a number, by its name and whether the machine
    was noisy; None for a number that does not follow the speed of the machine.

    It is that of the baseline, which the stored measurements on this machine repeat, pooled over baselines and with a
    prior: at the number's batch size, and at the first one for loading and decoding. On a GPU it is that of the
    recorded baseline: an eager one waits for its launches, which deviate from process to process.
    """
    on_gpu = run.device.kind == "cuda"

    @cache
    def measured(batch_size: int, noisy: bool) -> Deviation:
        repeats = defaultdict[object, list[tuple[float, bool]]](list)
        for record in earlier():
            if row := record.speed.by_batch_size.get(batch_size):
                time = row.recorded_baseline_latency_p50_ms if on_gpu else row.baseline_latency_p50_ms
                if time is not None:
                    repeats[setting_of_calls(record)].append((time, is_noisy(record)))
        found = [one for times in repeats.values() if (one := between_repeats(times, noisy)) is not None]
        on_processor = measurements.NOISY_PRIOR if noisy else measurements.PRIOR
        return Deviation.pooled([*found, measurements.GPU_PRIOR if on_gpu else on_processor])

    def known(name: str, noisy: bool) -> Deviation | None:
        if name.startswith(OF_NO_HOUR) or name.endswith("speedup"):
            return None
        row = name.partition(".")[0]
        size = row.removeprefix("batch_") if row.startswith("batch_") else run.components.bench.batch_sizes[0]
        return measured(int(size), noisy)

    return known


def between_repeats(times: Sequence[tuple[float, bool]], noisy: bool) -> Deviation | None:
    """Compute the deviation between repeats of one measurement: of quiet ones their standard deviation; of noisy ones
    the root of half the mean squared difference from any other, for a repeat may be quiet. None for fewer than two.

    Args:
        times: each with whether its machine was noisy.
        noisy: deviation of noisy repeats, not of quiet ones.
    """
    if sum(state == noisy for _, state in times) < 2:
        return None
    logarithms, states = np.log([time for time, _ in times]), np.array([state for _, state in times])
    logarithms -= logarithms.mean()
    alike = logarithms[states == noisy]
    others = logarithms if noisy else alike
    squares = len(others) * (alike**2).sum() + len(alike) * (others**2).sum() - 2 * alike.sum() * others.sum()
    mean = squares / len(alike) / (len(others) - 1)  # none differs from itself
    return Deviation(deviation=math.sqrt(max(mean, 0.0) / 2), degrees=len(alike) - 1)
