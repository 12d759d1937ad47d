"""Pareto fronts of quality against cost, and the configurations nearest to them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from effcomp.core.interval import Interval
from effcomp.record import LanguageQuality, NotMeasured, Record
from effcomp.report.objectives import OBJECTIVES, Objective, comparable, pareto_front
from effcomp.report.rows import NamedRecord

QUALITIES = ("accuracy", "perplexity", "flexible_match", "rougeL")
PAIRED = ("accuracy_difference", "loss_difference")
"""Differences on the same examples: their intervals are the narrowest, so they are drawn where they were measured."""
COSTS = {"speed": "speedup", "bytes": "artifact_bytes", "energy": "energy_per_sample_j"}
"""Objectives by the name of their figure, quality_NAME.png."""
MOST_SHOWN = 40
"""Configurations in a figure or a terminal: with more, nobody can read it."""


@dataclass(frozen=True)
class Tradeoff:
    """Two objectives of configurations that can be compared."""

    x: Objective
    y: Objective
    rows: list[NamedRecord]
    points: list[tuple[Interval, Interval]]
    """x and y of each row, in the units of their labels."""

    @property
    def front(self) -> list[int]:
        """Return the rows that no other is shown to beat, from the best x to the worst."""
        return pareto_front(self.points, (self.x.direction, self.y.direction))

    def among(self, names: set[str]) -> "Tradeoff":
        """Return the tradeoff of these rows alone."""
        kept = [index for index, row in enumerate(self.rows) if row.name in names]
        return replace(self, rows=[self.rows[i] for i in kept], points=[self.points[i] for i in kept])


def examples(record: Record) -> tuple[str, int | None]:
    """Return what must be equal for two qualities to be comparable: the test set, and for a perplexity the tokens."""
    tokens = record.quality.tokens if isinstance(record.quality, LanguageQuality) else None
    return (record.truth.data.fingerprint, tokens)


def tradeoffs(rows: Sequence[NamedRecord], x: str, ys: Sequence[str] = (*PAIRED, *QUALITIES)) -> list[Tradeoff]:
    """Return the first of `ys` that was measured against x, of the rows that have both: one for each test set."""
    sets: defaultdict[tuple[str, int | None], list[NamedRecord]] = defaultdict(list)
    for row in rows:
        sets[examples(row.record)].append(row)
    found = []
    for alike in sets.values():
        records = [row.record for row in alike]
        for y in ys:
            y_values = shown_values(OBJECTIVES[y], records)
            if any(y_values):
                x_values = shown_values(OBJECTIVES[x], records)
                kept = [(row, (a, b)) for row, a, b in zip(alike, x_values, y_values, strict=True) if a and b]
                if kept:
                    found.append(Tradeoff(OBJECTIVES[x], OBJECTIVES[y], [r for r, _ in kept], [p for _, p in kept]))
                break
    return found


def shown_values(objective: Objective, records: Sequence[Record]) -> list[Interval | None]:
    """Return the numbers of `comparable` in the unit of the objective's label."""
    values, scale = comparable(objective, records), objective.quantity.scale
    return values if scale == 1 else [None if one is None else one.scaled(scale) for one in values]


def quality_tradeoffs(rows: Sequence[NamedRecord]) -> dict[str, list[Tradeoff]]:
    """Return quality against each measured cost, by the name of the cost; one for each test set."""
    return {name: found for name, cost in COSTS.items() if (found := tradeoffs(rows, cost))}


def among(found: list[Tradeoff], names: set[str]) -> list[Tradeoff]:
    """Return the tradeoffs of these rows alone; test sets without any of them are left out."""
    return [kept for one in found if (kept := one.among(names)).rows]


def readable(rows: list[NamedRecord], found: dict[str, list[Tradeoff]]) -> list[NamedRecord]:
    """Return at most MOST_SHOWN rows in their order: the first row, those on the fronts, then those that would be on
    the fronts without these, and so on.

    Args:
        found: their `quality_tradeoffs`. Of those without a quality the fronts are of latency against size.
    """
    if len(rows) <= MOST_SHOWN:
        return rows
    unjudged = [row for row in rows if isinstance(row.record.quality, NotMeasured)]
    fronts = [one for alike in found.values() for one in alike]
    fronts += tradeoffs(unjudged, "latency_p50_ms", ("artifact_bytes",))
    layers = sorted((layer for one in fronts for layer in by_layer(one, MOST_SHOWN)), key=lambda layer: layer[0])
    kept = set(list(dict.fromkeys([rows[0].name, *(name for _, name in layers)]))[:MOST_SHOWN])
    return [row for row in rows if row.name in kept]


def by_layer(tradeoff: Tradeoff, most: int) -> list[tuple[int, str]]:
    """Return at least `most` names, each with the number of fronts that are peeled before its own."""
    peeled: list[tuple[int, str]] = []
    layer = 0
    while tradeoff.rows and len(peeled) < most:
        on_front = [tradeoff.rows[index].name for index in tradeoff.front]
        peeled += [(layer, name) for name in on_front]
        tradeoff = tradeoff.among({row.name for row in tradeoff.rows} - set(on_front))
        layer += 1
    return peeled


def scope(shown: int, of: int) -> str:
    """Return the addition to a title where not all configurations are shown; else nothing."""
    return f" ({shown} of {of:,} configurations: on the Pareto fronts, and nearest to them)" if shown < of else ""
