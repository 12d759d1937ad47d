"""Grid of the codes of a group of weights; a light module, without PyTorch."""

from dataclasses import dataclass


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

    @property
    def stored_bits(self) -> float:
        """Bits of a weight in the file: its code, and its share of the bfloat16 scale and of the zero point."""
        return self.bits + (16 + self.bits * self.zero_point) / self.group_size
