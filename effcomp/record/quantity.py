"""Quantities: numbers of the Record with the label, unit and direction that people and programs read them by."""

import dataclasses
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel

from effcomp.core.interval import Interval
from effcomp.record.row import rows_in

MIB = 2**20
KEY = "{key}"
"""Placeholder in the label of a quantity that is measured for each key of a dict, say each batch size."""


@dataclass(frozen=True)
class Quantity:
    """Annotation of a field that holds a number.

    `artifact_bytes: Annotated[int, Quantity("artifact", "MiB", scale=1 / MIB, better="lower", objective=True)]`.
    Table columns, objectives and limits, axes, MLflow's headline metrics and docs/record.md follow from it.
    """

    label: str
    """Short name for people; KEY in it stands for a batch size or a group, and gives a column for each."""
    unit: str = ""
    """Unit of the displayed number; `x` for a ratio, which is written after the number."""
    _: KW_ONLY
    scale: float = 1.0
    """The displayed number is the stored one times this."""
    digits: int = 2
    """Digits after the point of the displayed number."""
    better: Literal["lower", "higher"] | None = None
    """Direction of improvement."""
    words: tuple[str, str] = ("better", "worse")
    """Comparatives for a better and a worse number."""
    objective: bool = False
    """True if `--recommend` and the search can optimize and limit the number, by the name of its field."""
    speedup: str | None = None
    """Field beside it with the paired speed-up; comparisons between records use it."""
    entry: Literal["first", "largest"] = "largest"
    """Batch size at which an objective is read where it is measured at several."""
    column: bool = False
    """True if the table has a column of it, where any record has the number."""
    brief: bool = False
    """True if the terminal leaves the interval out, for its width."""
    signed: bool = False
    """True if a positive number has a plus sign."""
    headline: str = ""
    """Name among MLflow's headline metrics; empty for a metric beneath them."""

    @property
    def heading(self) -> str:
        """Label and unit: `artifact, MiB`."""
        return self.label if self.unit in ("", "x") else f"{self.label}, {self.unit}"

    @property
    def logged_scale(self) -> float:
        """Factor of a headline metric: the displayed unit, but shares stay between 0 and 1."""
        return 1.0 if self.unit in ("%", "points") else self.scale


@dataclass(frozen=True)
class Field:
    """A quantity and its place in the Record."""

    quantity: Quantity
    steps: tuple[tuple[type[BaseModel], str], ...]
    """From the Record down: a class, and the name of its field."""
    key: str | int | None = None
    """Key of the dict on the way; None for the entry that the quantity names."""

    @property
    def name(self) -> str:
        return self.steps[-1][1] if not isinstance(self.key, str) else self.key

    @property
    def section(self) -> str:
        """Field of the Record that it lies in: quality, speed, ..."""
        return self.steps[0][1]

    @property
    def meaning(self) -> str:
        """Docstring of the field, on one line; of a number in a dict, its own where it has one."""
        owner, name = self.steps[-1]
        for named in owner.model_fields[name].metadata:
            if isinstance(named, Named) and self.key in named.meanings:
                return named.meanings[str(self.key)]
        return " ".join((owner.model_fields[name].description or "").split())

    @property
    def heading(self) -> str:
        return self.quantity.heading.replace(KEY, str(self.key))

    def of(self, record: BaseModel) -> Interval | None:
        """Return the number in the Record's own unit, or None where the record does not have it.

        A number without an interval has equal bounds.
        """
        value: Any = record
        for owner, name in self.steps:
            if isinstance(value, dict):
                value = self.chosen(value)
            if not isinstance(value, owner):
                return None
            value = getattr(value, name)
        if isinstance(value, dict):
            value = value.get(self.key)
        if isinstance(value, Interval):
            return value
        return exact(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def chosen(self, entries: dict[Any, Any]) -> Any:
        """Return the entry of the key, or the one that the quantity names."""
        if self.key is not None or not entries:
            return entries.get(self.key)
        return entries[max(entries) if self.quantity.entry == "largest" else next(iter(entries))]

    def keys(self, record: BaseModel) -> set[Any] | None:
        """Return the keys of the dict on the way to it; None where the record does not have the dict."""
        value: Any = record
        for owner, name in self.steps:
            if isinstance(value, dict):
                return set(value)
            if not isinstance(value, owner):
                return None
            value = getattr(value, name)
        return None

    def beside(self, name: str) -> "Field":
        """Return the field of another name in the same row, under the same quantity."""
        return replace(self, steps=(*self.steps[:-1], (self.steps[-1][0], name)))


def fields(row: type[BaseModel], above: tuple[tuple[type[BaseModel], str], ...] = ()) -> Iterator[Field]:
    """Yield every quantity of a row and of the rows inside it, in the order of their fields."""
    for name, field in row.model_fields.items():
        steps = (*above, (row, name))
        for annotation in field.metadata:
            if isinstance(annotation, Quantity):
                yield Field(annotation, steps)
            elif isinstance(annotation, Named):
                yield from (Field(quantity, steps, key) for key, quantity in annotation.quantities.items())
        for inner in rows_in(field.annotation):
            yield from fields(inner, steps)


@dataclass(frozen=True)
class Named:
    """Annotation of a dict whose keys name quantities."""

    quantities: dict[str, Quantity]
    meanings: dict[str, str] = dataclasses.field(default_factory=dict)
    """Meanings of those that the dict's own docstring does not describe."""


def exact(value: float) -> Interval:
    """Return a number without an interval."""
    return Interval(value=value, low=value, high=value)
