"""A measured number with its 95 % interval.

For a score, which the same model gets again on the same examples, it holds the score on other examples from the same
source. For speed and cost it holds the number that the same measurement would give again (`effcomp.core.pairs`); in
records before schema 6, and for the values of single pairs over their turns, it holds the true value. Times and rates
follow the speed of the machine: since schema 7 theirs holds a repeat at another hour (`effcomp.core.measurements`).
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

NORMAL_975 = 1.959963984540054


class Interval(BaseModel):
    """A measured number with its 95 % interval."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    value: float
    """Estimate."""
    low: float
    """Lower bound of the 95 % interval."""
    high: float
    """Upper bound of the 95 % interval."""
    degrees: Annotated[int | None, Field(exclude_if=lambda degrees: degrees is None)] = None
    """Degrees of freedom of a t interval of the number's logarithm; left out for other intervals."""
    between_measurements: Annotated[float | None, Field(exclude_if=lambda deviation: deviation is None)] = None
    """Standard deviation of the number's logarithm between measurements, which the interval holds besides that between
    pairs; left out for an interval that holds the latter alone."""

    def scaled(self, factor: float) -> "Interval":
        """Convert to another unit; a negative factor swaps the bounds."""
        low, high = sorted((self.low * factor, self.high * factor))
        return self.model_copy(update={"value": self.value * factor, "low": low, "high": high})
