"""Grid of the codes of a group of weights, and the words that describe a format; a light module, without PyTorch."""

from dataclasses import dataclass
from math import ceil
from typing import Literal

Granularity = Literal["per_tensor", "per_channel"]
"""One scale for a weight, or one for each of its output channels (rows)."""
Embeddings = Literal["bfloat16", "int8", "int4"]
"""Type that embedding tables are stored in."""


@dataclass(frozen=True)
class Grid:
    """Integers q that a weight can be stored as: w ≈ s * (q - z), with s and z of each group of a row's inputs."""

    group_size: int
    bits: int
    zero_point: bool = False
    """True if z is fitted, an integer of the grid; otherwise it is 0."""

    @property
    def lowest(self) -> int:
        """Smallest code; without a zero point the grid is symmetric, one code short of what the bits can hold."""
        return -(1 << self.bits - 1) + (0 if self.zero_point else 1)

    @property
    def highest(self) -> int:
        return (1 << self.bits - 1) - 1

    def stored_bytes(self, rows: int, columns: int) -> int:
        """Return the bytes of a weight of this shape in the file: codes, bfloat16 scales, and zero points."""
        groups = ceil(columns / self.group_size)
        codes, zero_points = ceil(self.bits * groups * self.group_size / 8), ceil(self.bits * groups / 8)
        return rows * (codes + 2 * groups + zero_points * self.zero_point)
