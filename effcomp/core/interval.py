"""A measured number with its 95 % interval."""

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

    def scaled(self, factor: float) -> "Interval":
        """Convert to another unit; a negative factor swaps the bounds."""
        low, high = sorted((self.low * factor, self.high * factor))
        return self.model_copy(update={"value": self.value * factor, "low": low, "high": high})
