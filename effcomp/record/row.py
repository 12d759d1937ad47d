"""What every part of a Record is made of."""

from pydantic import BaseModel, ConfigDict


class Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class Interval(Row):
    """A measured number with its 95 % interval."""

    value: float
    """The estimate."""
    low: float
    """The lower bound of the 95 % interval."""
    high: float
    """The upper bound."""

    def scaled(self, factor: float) -> "Interval":
        """In another unit; a negative factor swaps the bounds."""
        low, high = sorted((self.low * factor, self.high * factor))
        return Interval(value=self.value * factor, low=low, high=high)
