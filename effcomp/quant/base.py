"""Base class of number formats, and the words that describe one."""

from typing import ClassVar, Literal

from effcomp.core.component import Component

Granularity = Literal["per_tensor", "per_channel"]
"""One scale for a weight, or one for each of its output channels (rows)."""


class Quant(Component):
    """Base class of number formats: a light, validated config that says how weights are stored.

    A runtime executes a format through a lowering (effcomp.quant.lowering), which stands in the same module. To add a
    format: a module with the class and its lowerings, and conf/quant/<name>.yaml. The tests of every format find it by
    itself.
    """

    packages: ClassVar[tuple[str, ...]] = ()
    """Libraries that must be installed, by import name."""

    @property
    def calibration_samples(self) -> int:
        """Number of training examples that the format is fitted to."""
        return 0
