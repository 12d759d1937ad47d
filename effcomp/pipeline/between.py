"""Deviation between pairs of fresh processes on this machine, which the interval of a single pair needs."""

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from effcomp.core import machine
from effcomp.core.interval import Interval
from effcomp.core.pairs import PRIOR, BetweenPairs
from effcomp.record import Record, Row
from effcomp.record.result import stored_results

if TYPE_CHECKING:
    from effcomp.pipeline.stage import Run

WITHOUT_PRIOR = ("memory.", "load.", "energy.")
"""Numbers of which other machines say nothing."""


def between_pairs(run: "Run") -> dict[str, BetweenPairs]:
    """Return the deviations between pairs of the stored measurements on this machine, with this runtime and number of
    threads, by the name of the number: its row and field in the Record (`batch_32.speedup`, `load.load_time_ms`).

    Those of speed are pooled with PRIOR. No measurement is made for it: every configuration that is measured with two
    or more pairs adds its own. Another model may deviate by more or less.
    """
    found: dict[str, list[BetweenPairs]] = defaultdict(list)
    setting = (machine.device_name(run.device), run.device.threads, run.components.runtime.name)
    for _, record in stored_results(run.store.root):
        if (record.truth.machine.device, record.truth.machine.threads, record.choices["runtime"]) == setting:
            for name, deviation in deviations(record):
                found[name].append(deviation)
    priors = {name: [] if name.startswith(WITHOUT_PRIOR) else [PRIOR] for name in found}
    return {name: BetweenPairs.pooled([*priors[name], *measured]) for name, measured in found.items()}


def deviations(record: Record) -> Iterator[tuple[str, BetweenPairs]]:
    """Yield the deviation between pairs of every number of a record with two or more pairs."""
    first = next(iter(record.speed.by_batch_size.values())).speedup_pairs
    if first is None or len(first.values) == 1:
        return
    looks = record.speed.stopping.looks if record.speed.stopping is not None else 1
    rows: dict[str, Row | None] = {f"batch_{size}": row for size, row in record.speed.by_batch_size.items()}
    cost = record.cost
    rows |= {"generation": record.speed.generation, "memory": cost.memory, "load": cost.load, "energy": cost.energy}
    for row, numbers in rows.items():
        for field, number in numbers or ():
            if isinstance(number, Interval) and number.degrees is not None:
                yield f"{row}.{field}", BetweenPairs.from_interval(number, looks)
