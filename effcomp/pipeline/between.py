"""Deviation between pairs of fresh processes on this machine, which the interval of a single pair needs."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from effcomp.core import machine
from effcomp.core.interval import Interval
from effcomp.core.pairs import LAUNCHED_PRIOR, NOISY_PRIOR, PRIOR, RECORDED_PRIOR, TAIL, BetweenPairs
from effcomp.record import Record, Row
from effcomp.record.result import stored_results
from effcomp.record.upgrade import HOLDS_A_REPEAT_SINCE

if TYPE_CHECKING:
    from effcomp.pipeline.stage import Run

WITHOUT_PRIOR = ("memory.", "load.", "energy.")
"""Numbers whose deviation depends on the machine alone, so that no prior is assumed."""


def between_pairs(run: "Run") -> Callable[[str, bool], BetweenPairs | None]:
    """Return a function that knows the deviation between pairs of a number, by its name (its row and field in the
    Record: `batch_32.speedup`, `load.load_time_ms`) and whether the machine was noisy.

    It pools those of the stored measurements on this machine, as quiet or as noisy, with this runtime and number of
    threads; those of speed with a prior. No measurement is made for it: every configuration that is measured with two
    or more pairs adds its own. Another model may deviate by more or less. None: nothing is known.
    """

    @cache
    def measured() -> dict[tuple[str, bool], list[BetweenPairs]]:
        found = defaultdict[tuple[str, bool], list[BetweenPairs]](list)
        setting = (machine.device_name(run.device), run.device.threads, run.components.runtime.name)
        for _, record in stored_results(run.store.root):
            if (record.truth.machine.device, record.truth.machine.threads, record.choices["runtime"]) == setting:
                conditions = record.truth.conditions
                noisy = conditions is not None and bool(conditions.noise)
                for name, deviation in deviations(record):
                    found[name, noisy].append(deviation)
        return found

    def known(name: str, noisy: bool) -> BetweenPairs | None:
        assumed = [] if name.startswith(WITHOUT_PRIOR) else [prior(run, name, noisy)]
        found = [*measured()[name, noisy], *assumed]
        return BetweenPairs.pooled(found) if found else None

    return known


def prior(run: "Run", name: str, noisy: bool) -> BetweenPairs:
    """Return the deviation between pairs that is assumed of a number of speed: on a GPU it depends on whether a side of
    it waits for the processor to launch its kernels."""
    against_eager = name.endswith("speedup") and not name.endswith("recorded_speedup")
    on_gpu = run.device.kind == "cuda"
    launched = on_gpu and (against_eager or not run.components.runtime.records)
    quiet = RECORDED_PRIOR if on_gpu else PRIOR
    assumed = LAUNCHED_PRIOR if launched else NOISY_PRIOR if noisy else quiet
    return assumed.times(TAIL) if name.endswith(("_p95_ms", "_p99_ms")) else assumed


def deviations(record: Record) -> Iterator[tuple[str, BetweenPairs]]:
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
                yield f"{row}.{field}", BetweenPairs.from_interval(number, looks)
