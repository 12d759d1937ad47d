"""A measured number with its 95 % interval."""

import math

from pydantic import BaseModel, ConfigDict

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

    def scaled(self, factor: float) -> "Interval":
        """Convert to another unit; a negative factor swaps the bounds."""
        low, high = sorted((self.low * factor, self.high * factor))
        return Interval(value=self.value * factor, low=low, high=high)

    def with_noise(self, deviation: float) -> "Interval":
        """Widen the interval of a positive number by a known noise, added in squares (JCGM 100:2008, GUM, section 4.3,
        type B); deviation: standard deviation of the number's logarithm.
        """
        below, above = (
            math.hypot(math.log(bound / self.value), NORMAL_975 * deviation) for bound in (self.low, self.high)
        )
        return Interval(value=self.value, low=self.value * math.exp(-below), high=self.value * math.exp(above))
