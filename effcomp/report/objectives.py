"""Objectives: the numbers of a Record that configurations are optimized and limited by, and their comparison."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median
from typing import Literal

from effcomp.core.interval import Interval
from effcomp.record import Generation, Record
from effcomp.record.comparable import setting_of_calls, setting_of_decoding
from effcomp.record.quantity import Field, Quantity, fields

Direction = Literal["minimize", "maximize"]
OWN_TIME = {"latency_p50_ms": ("cuda_graphs",)}
"""Runtimes that are compared by an objective's own value, which varies less there than the speed-up."""


@dataclass(frozen=True)
class Objective:
    """A number of the Record that configurations are optimized and limited by."""

    field: Field

    @property
    def quantity(self) -> Quantity:
        return self.field.quantity

    @property
    def label(self) -> str:
        """Label with the unit of the displayed number."""
        return f"{self.field.heading}, times" if self.quantity.unit == "x" else self.field.heading

    @property
    def direction(self) -> Direction:
        return "minimize" if self.quantity.better == "lower" else "maximize"

    def value(self, record: Record) -> Interval | None:
        """Return the number in the Record's own unit; None where the record does not have it."""
        return self.field.of(record)

    @property
    def speedup(self) -> Callable[[Record], Interval | None] | None:
        """Reader of the paired speed-up that belongs to a speed; None for other numbers."""
        return None if self.quantity.speedup is None else self.field.beside(self.quantity.speedup).of

    @property
    def of_decoding(self) -> bool:
        """True for a number of decoding token by token."""
        return Generation in (owner for owner, _ in self.field.steps)

    def setting(self, record: Record) -> tuple[object, ...]:
        """Return everything that must be equal for two of these speed-ups to be ratios to one thing."""
        return setting_of_decoding(record) if self.of_decoding else setting_of_calls(record)

    def better(self, one: float, other: float) -> bool:
        """Return True if one value is better than another."""
        return one < other if self.direction == "minimize" else one > other


def objectives(record: type[Record]) -> dict[str, Objective]:
    """Return the objectives of a Record class by their names, in the order of its fields."""
    return {field.name: Objective(field) for field in fields(record) if field.quantity.objective}


OBJECTIVES = objectives(Record)


def comparable(objective: Objective, records: Sequence[Record]) -> list[Interval | None]:
    """Return the objective of each record so that records can be compared; in the Record's own unit.

    The speed of a machine drifts, so a time is compared by its ratio to the baseline that was called in turn with it.
    Records that share a baseline, device and texts get the median time of that baseline, divided by their own speed-up
    (multiplied, for a throughput). Their order is that of the speed-ups; a single record keeps its own value.

    The latency of a recorded call (OWN_TIME) keeps its own value: eager PyTorch waits for the processor at small
    batches, so most of the ratio's noise is the baseline's.
    """
    values = [objective.value(record) for record in records]
    if objective.speedup is None:
        return values
    power = -1 if objective.direction == "minimize" else 1
    speedups = [objective.speedup(record) for record in records]
    measured = list(zip(map(objective.setting, records), values, speedups, strict=True))
    baselines: defaultdict[tuple[object, ...], list[float]] = defaultdict(list)
    for key, value, speedup in measured:
        if value is not None and speedup is not None:
            baselines[key].append(value.value / speedup.value**power)
    reference = {key: median(found) for key, found in baselines.items()}
    found: list[Interval | None] = []
    for record, (key, value, speedup) in zip(records, measured, strict=True):
        if value is None or speedup is None:
            found.append(None)
        elif keeps_time(objective, record):
            found.append(value)
        else:
            found.append(ratio(reference[key], speedup, power))
    return found


def keeps_time(objective: Objective, record: Record) -> bool:
    """Return True if the record is compared by the value itself."""
    return record.choices["runtime"] in OWN_TIME.get(objective.field.name, ())


def ratio(baseline: float, speedup: Interval, power: int) -> Interval:
    """Multiply the baseline's value by the speed-up for a throughput (power 1), or divide it for a time (-1)."""
    low, high = sorted((baseline * speedup.low**power, baseline * speedup.high**power))
    return Interval(value=baseline * speedup.value**power, low=low, high=high, degrees=speedup.degrees)


def pareto_front(points: Sequence[tuple[Interval, Interval]], directions: tuple[Direction, Direction]) -> list[int]:
    """Return the indices of the points that no other is shown to beat, from the best x to the worst.

    A point beats another when its whole interval is better in one number, and that of the other is not in the second:
    a difference within the noise puts nothing on the front. Of numbers without intervals equal points are on the front
    together or not at all.
    """
    x_sign, y_sign = (1 if direction == "minimize" else -1 for direction in directions)
    costs = [(x.scaled(x_sign), y.scaled(y_sign)) for x, y in points]
    beaten = beaten_in(costs) | beaten_in([(y, x) for x, y in costs])
    return sorted(set(range(len(costs))) - beaten, key=lambda index: [cost.value for cost in costs[index]])


def beaten_in(costs: Sequence[tuple[Interval, Interval]]) -> set[int]:
    """Return the indices of the points that another beats in their first number, where less is better."""
    by_high = sorted(costs, key=lambda cost: cost[0].high)
    highs = [cost[0].high for cost in by_high]
    least = list(accumulate((cost[1].low for cost in by_high), min))
    better = [bisect_left(highs, first.low) for first, _ in costs]
    return {index for index, count in enumerate(better) if count and least[count - 1] <= costs[index][1].high}
