"""Limits of a goal, `max_accuracy_drop=0.5`, and their check."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from effcomp.core.errors import UserError
from effcomp.core.interval import Interval
from effcomp.record import (
    GenerationQuality,
    GenerationVersus,
    LanguageQuality,
    LanguageVersus,
    Quality,
    Record,
    VersusBaseline,
)
from effcomp.record.quantity import exact
from effcomp.report.objectives import OBJECTIVES
from effcomp.report.rows import spread
from effcomp.report.words import quantity

LIMITS = (
    "max_accuracy_drop=POINTS, max_perplexity_increase=PERCENT, max_headline_drop=POINTS, max_NAME=NUMBER, "
    f"min_NAME=NUMBER; NAME is one of: {', '.join(OBJECTIVES)}"
)


@dataclass(frozen=True)
class Standing:
    """Side of a limit on which a 95 % interval lies."""

    verdict: Literal["kept", "broken", "undecided"]
    """Kept: the whole interval is within the limit; broken: none of it is."""
    reason: str | None
    """Why it is not kept, in words."""


def verdict_on(reason: str | None, beyond: bool) -> Standing:
    """Return the standing of a limit.

    Args:
        reason: why the interval is not within the limit; None where it is.
        beyond: all of the interval lies beyond the limit.
    """
    if reason is None:
        return Standing("kept", None)
    return Standing("broken" if beyond else "undecided", reason)


@dataclass(frozen=True)
class Bound:
    """Limit of an objective, at most or at least; in the Record's own unit."""

    side: Literal["max", "min"]
    objective: str
    limit: float

    def measured(self, record: Record) -> str | None:
        """Return the number in words; None where the record does not have it."""
        value = OBJECTIVES[self.objective].value(record)
        return None if value is None else quantity(OBJECTIVES[self.objective], value)

    def standing(self, record: Record) -> Standing:
        """Return where the interval of a record lies."""
        value = OBJECTIVES[self.objective].value(record)
        return verdict_on(self.broken_by(value), value is not None and self.beyond(value))

    def beyond(self, value: Interval) -> bool:
        """Return True if the whole interval breaks the bound."""
        return value.low > self.limit if self.side == "max" else value.high < self.limit

    def excess(self, record: Record) -> float:
        """Return how far the end of the interval lies beyond the limit, as a share of the limit."""
        value = OBJECTIVES[self.objective].value(record)
        if value is None:
            return math.inf
        return share(value.high - self.limit if self.side == "max" else self.limit - value.low, self.limit)

    def broken_by(self, value: Interval | None) -> str | None:
        """Return the reason in words; None when the whole interval is within the bound."""
        objective = OBJECTIVES[self.objective]
        if value is None:
            return f"its {objective.quantity.label} was not measured"
        if value.high <= self.limit if self.side == "max" else value.low >= self.limit:
            return None
        border = "at most" if self.side == "max" else "at least"
        asked, measured = quantity(objective, exact(self.limit)), quantity(objective, value)
        shown = "is not" if self.beyond(value) else "cannot be shown to be"
        return f"its {objective.quantity.label} {shown} {border} {asked}: {measured}"


@dataclass(frozen=True)
class Evidence:
    """Measured loss of quality, with the size of its sample."""

    loss: Interval
    """More is worse, on the scale on which its interval was made."""
    limit: float
    """Limit on that scale."""
    words: str
    """The loss as people read it."""
    count: int
    unit: str
    """Unit of the count."""

    @property
    def needed(self) -> int | None:
        """Number of examples whose interval would be within the limit, should the middle stay where it is; None where
        the middle is beyond it. The width of an interval falls with the square root of the number."""
        half, middle = (self.loss.high - self.loss.low) / 2, (self.loss.high + self.loss.low) / 2
        if middle >= self.limit:
            return None
        return two_digits(self.count * (half / (self.limit - middle)) ** 2)


@dataclass(frozen=True)
class Loss(ABC):
    """Base class of limits on the loss of quality against the baseline, on the same examples; in the unit that is
    typed."""

    limit: float
    quality: ClassVar[str]
    falls_by: ClassVar[str]
    unit: ClassVar[str]
    scale: ClassVar[str]
    """Scale of the evidence, for an axis."""

    @abstractmethod
    def evidence(self, record: Record) -> Evidence | None:
        """Return the measured loss; None for a record with another kind of quality, or with none."""

    def measured(self, record: Record) -> str | None:
        """Return the loss in words; None where the record does not have it."""
        known = self.evidence(record)
        return None if known is None else known.words

    def standing(self, record: Record) -> Standing:
        """Return where the interval of a record lies. The baseline loses nothing against itself."""
        reason = None if record.is_baseline else self.broken_by(record)
        known = self.evidence(record)
        return verdict_on(reason, known is not None and known.loss.low > known.limit)

    def excess(self, record: Record) -> float:
        """Return how far the end of the interval lies beyond the limit, as a share of the limit."""
        known = self.evidence(record)
        if record.is_baseline:
            return 0.0
        return math.inf if known is None else share(known.loss.high - known.limit, known.limit)

    def broken_by(self, record: Record) -> str | None:
        """Return the reason in words; None when the whole 95 % interval of the paired difference is within the
        limit."""
        known = self.evidence(record)
        if known is None:
            return f"its {self.quality} was not measured"
        if known.loss.high <= known.limit:
            return None
        limit = f"{self.limit:g} {self.unit.removesuffix('s') if self.limit == 1 else self.unit}"
        if known.loss.low > known.limit:
            return f"its {self.falls_by} more than {limit}: {known.words}"
        asked = f"{known.count:,} {known.unit} cannot show that its {self.falls_by} at most {limit}"
        enough = "" if known.needed is None else f"; about {known.needed:,} would decide"
        return f"{asked}: {known.words}{enough}"


class AccuracyDrop(Loss):
    """Limit on the loss of accuracy, in points."""

    quality, falls_by, unit = "accuracy", "accuracy falls by", "points"
    scale = "points that are lost"

    def evidence(self, record: Record) -> Evidence | None:
        versus, quality = record.versus_baseline, record.quality
        if not isinstance(versus, VersusBaseline) or not isinstance(quality, Quality):
            return None
        difference = versus.accuracy_difference
        words = spread(difference, 1, 100, "+")
        return Evidence(difference.scaled(-100), self.limit, words, quality.examples, "examples")


class PerplexityIncrease(Loss):
    """Limit on the rise of perplexity, in percent."""

    quality, falls_by, unit = "perplexity", "perplexity rises by", "%"
    scale = "loss that is added, nats"

    def evidence(self, record: Record) -> Evidence | None:
        versus, quality = record.versus_baseline, record.quality
        if not isinstance(versus, LanguageVersus) or not isinstance(quality, LanguageQuality):
            return None
        ratio = versus.perplexity_ratio
        percent = Interval(value=ratio.value - 1, low=ratio.low - 1, high=ratio.high - 1)
        words = f"{spread(percent, 1, 100, '+')} %"
        limit = math.log1p(self.limit / 100)
        return Evidence(versus.loss_difference, limit, words, quality.blocks, "blocks of text")


class HeadlineDrop(Loss):
    """Limit on the loss of the headline score of written texts, in points."""

    quality, falls_by, unit = "headline score of texts", "headline falls by", "points"
    scale = "points that are lost"

    def evidence(self, record: Record) -> Evidence | None:
        versus, quality = record.versus_baseline, record.quality
        if not isinstance(versus, GenerationVersus) or not isinstance(quality, GenerationQuality):
            return None
        difference = versus.differences[quality.headline]
        words = f"{quality.headline} {spread(difference, 1, 100, '+')}"
        return Evidence(difference.scaled(-100), self.limit, words, quality.examples, "prompts")


LOSSES: dict[str, type[Loss]] = {
    "max_accuracy_drop": AccuracyDrop,
    "max_perplexity_increase": PerplexityIncrease,
    "max_headline_drop": HeadlineDrop,
}


def parse_limits(items: list[str], option: str, grammar: str) -> dict[str, Bound | Loss]:
    """Parse typed limits.

    Args:
        option: the option of the command line that they were given to.
        grammar: what a limit looks like, for the error.

    Raises:
        UserError: an item is no limit.
    """
    limits: dict[str, Bound | Loss] = {}
    for item in items:
        key = item.partition("=")[0]
        side, _, name = key.partition("_")
        if key in LOSSES:
            limits[item] = LOSSES[key](number(item, option, least=0))
        elif side in ("max", "min") and name in OBJECTIVES:
            limits[item] = Bound("max" if side == "max" else "min", name, number(item, option))
        else:
            raise UserError(f"{option} {item}: {grammar}")
    return limits


def number(item: str, option: str, least: float = -math.inf) -> float:
    value = item.partition("=")[2]
    try:
        parsed = float(value)
    except ValueError:
        parsed = math.nan
    if not (math.isfinite(parsed) and parsed >= least):
        asked = "number" if least == -math.inf else f"number of {least:g} or more"
        raise UserError(f"{option} {item}: {value or 'nothing'} is no {asked}; give one")
    return parsed


def share(excess: float, limit: float) -> float:
    """Return an excess as a share of the size of its limit; of a limit of 0 the excess itself."""
    return excess / (abs(limit) or 1.0)


def two_digits(value: float) -> int:
    """Round up to two significant digits: 2,357 is 2,400."""
    step: int = 10 ** max(0, math.floor(math.log10(value)) - 1)
    return math.ceil(value / step) * step
