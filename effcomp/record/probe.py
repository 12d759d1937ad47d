"""Registry of probes: numbers of a loaded model that need no turns, each declared beside its measurement.

    @probe(Quantity("swapped", "MiB", scale=1 / MIB))
    def swapped_bytes(model: MeasuredModel, context: Batch | None) -> float | None: ...

stands in a module of effcomp.record.probes, and all of these are imported here: no list names them. The number has the
function's name, and its docstring for the meaning. `Cost.probes` holds the numbers; columns, objectives, MLflow names
and docs/record.md follow from the quantity.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from effcomp.core.batches import Batch
from effcomp.record.quantity import Named, Quantity

PACKAGE = "effcomp.record.probes"


class Drafts(Protocol):
    """Counts of speculative decoding over all texts (effcomp.runtimes.speculative.Speculation)."""

    drafted: int
    accepted: int
    calls: int


class DecodedTexts(Protocol):
    """Texts that a model wrote (effcomp.runtimes.decoding.Decoded)."""

    cache_bytes: int | None


class MeasuredModel(Protocol):
    """As much of a loaded model (effcomp.runtimes.base.Loaded) as probes use."""

    @property
    def speculation(self) -> Drafts | None: ...

    def decode(self, batch: Batch, new_tokens: int) -> DecodedTexts: ...


MeasureModel = Callable[[MeasuredModel, Batch | None], float | None]


@dataclass(frozen=True)
class Probe:
    """A number of a loaded model."""

    quantity: Quantity
    measure: MeasureModel
    """measure(model, context): the number, or None where this model or runtime does not have it. It runs in the
    measured process after all timing. context: one sequence as long as the prompt and the written tokens of
    `speed.generation`; None where nothing is written."""

    @property
    def meaning(self) -> str:
        """Return the function's docstring on one line, without `Return the`."""
        text = " ".join((self.measure.__doc__ or "").split()).removeprefix("Return the ")
        return text[:1].upper() + text[1:]


REGISTERED: dict[str, Probe] = {}


def probe(quantity: Quantity) -> Callable[[MeasureModel], MeasureModel]:
    """Register the decorated function as the measurement of this quantity.

    Raises:
        ValueError: there is a probe of its name.
    """

    def register(measure: MeasureModel) -> MeasureModel:
        if measure.__name__ in REGISTERED:
            raise ValueError(f"there is a probe {measure.__name__} already")
        REGISTERED[measure.__name__] = Probe(quantity, measure)
        return measure

    return register


@cache
def probe_modules() -> tuple[str, ...]:
    """Import all modules of probes; return their names."""
    names = [f"{PACKAGE}.{found.name}" for found in pkgutil.iter_modules(importlib.import_module(PACKAGE).__path__)]
    for name in names:
        importlib.import_module(name)
    return tuple(sorted(names))


def probes() -> dict[str, Probe]:
    """Return all probes by their names."""
    probe_modules()
    return dict(sorted(REGISTERED.items()))


def probed() -> Named:
    """Return the annotation of the field that holds the numbers."""
    found = probes()
    quantities, meanings = (
        {name: getattr(one, part) for name, one in found.items()} for part in ("quantity", "meaning")
    )
    return Named(quantities, meanings)
