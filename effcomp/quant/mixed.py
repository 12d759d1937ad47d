"""Integers of 2, 3, 4 or 8 bits, by layer: the widths that harm the model least under a budget."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import StringConstraints, model_validator

from effcomp.core.batches import Batch
from effcomp.quant.base import Quant
from effcomp.quant.few_bits import dequantized
from effcomp.quant.grid import Grid
from effcomp.quant.grouped import Grouped
from effcomp.quant.lowering import TensorLowering, lowers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WIDTHS = (2, 3, 4, 8)


class Mixed(Grouped):
    """Integer weights of 2, 3, 4 or 8 bits with a scale for every group of inputs; linear layers without the head.

    Each layer is rounded alone to each width, and its harm measured: the KL divergence of the model's predictions from
    the float model's on calibration texts. An integer program then gives each layer a width: the smallest sum of harms
    that fits the budget. It takes minutes for a small encoder, hours for a decoder on a CPU. quant.rounding chooses the
    codes afterwards. Weights are dequantized to bfloat16 at load, as int3.
    """

    id: ClassVar[str] = "quant/mixed"
    bits: ClassVar[int] = 8
    group_size: Literal[32, 64, 128]
    """Inputs of a row that share a scale; fewer are more precise and take more bytes."""
    budget: Annotated[str, StringConstraints(pattern=r"^(bits:\d+(\.\d+)?|weights_bytes:0?\.\d+)$")]
    """bits:4.5: bits of a weight of the linear layers on average, scales and zero points included. weights_bytes:0.3:
    share of the float32 weights' bytes that the whole file of weights may take."""

    @property
    def limit(self) -> tuple[str, float]:
        """Unit and number of the budget."""
        unit, _, number = self.budget.partition(":")
        return unit, float(number)

    @property
    def candidates(self) -> tuple[Grid, ...]:
        """Grids that a layer can have."""
        return tuple(Grid(self.group_size, bits, self.zero_point) for bits in WIDTHS)

    @property
    def calibration_samples(self) -> int:
        return self.samples

    @model_validator(mode="after")
    def check_budget(self) -> Self:
        unit, number = self.limit
        if unit == "bits" and number < (least := self.candidates[0].stored_bits):
            of_groups = f"2 bits in groups of {self.group_size} take {least} with their scales"
            raise ValueError(f"budget={self.budget}: {of_groups}; give a larger budget")
        return self

    def check_training(self, runtime: str) -> None:
        Quant.check_training(self, runtime)  # the bits of a layer are chosen after training

    def round_layers(self, model: "PreTrainedModel", samples: list[Batch]) -> None:
        from effcomp.quant.rounding.methods import METHODS
        from effcomp.quant.rounding.widths import choose_grids

        self.round_embeddings(model)
        METHODS[self.rounding](model, choose_grids(self, model, samples), samples)

    def bits_by_layer(self, model: "PreTrainedModel") -> dict[str, int]:
        from effcomp.quant.groups import RoundedLinear

        return {name: one.grid.bits for name, one in model.named_modules() if isinstance(one, RoundedLinear)}


@lowers(Mixed, "torch", "compile", "cuda_graphs")
def to_torch(quant: Mixed) -> TensorLowering:
    return dequantized(quant, tolerance=1.0)
