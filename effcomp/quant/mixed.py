"""Integers of 2, 3, 4 or 8 bits, by layer: the widths that harm the model least under a budget."""

import re
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from effcomp.core.batches import Batch
from effcomp.quant.base import Quant
from effcomp.quant.few_bits import dequantized
from effcomp.quant.grid import Grid
from effcomp.quant.grouped import Grouped
from effcomp.quant.lowering import TensorLowering, lowers
from effcomp.record.cost import LayerMap

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from effcomp.quant.rounding.widths import Budget

WIDTHS = (2, 3, 4, 8)
BUDGET = re.compile(r"bits:\d+(\.\d+)?|weights_bytes:0?\.\d+")


def known_budget(text: str) -> str:
    if text.startswith("latency"):
        reason = "the widths do not change it, because every width is dequantized at load"
        raise ValueError(f"{reason}; give bits:4.5 or weights_bytes:0.3, say")
    if BUDGET.fullmatch(text) is None:
        raise ValueError("give what is limited and how much stays, say bits:4.5 or weights_bytes:0.3")
    return text


class Mixed(Grouped):
    """Integer weights of 2, 3, 4 or 8 bits with a scale for every group of inputs; linear layers without the head.

    The harm of a layer at a width is the KL divergence of the model's predictions from the float model's on calibration
    texts, when this layer alone is rounded (quant.sensitivity). An integer program then gives each layer a width: the
    smallest sum of harms that fits the budget. quant.rounding chooses the codes afterwards. Weights are dequantized to
    bfloat16 at load, as int3.
    """

    id: ClassVar[str] = "quant/mixed"
    bits: ClassVar[int] = 8
    group_size: Literal[32, 64, 128]
    """Inputs of a row that share a scale; fewer are more precise and take more bytes."""
    samples: Annotated[int, Field(ge=1)] = 128
    """Training examples that gptq, awq and learned read; the first 32 measure the harm of the layers."""
    budget: Annotated[str, AfterValidator(known_budget)]
    """bits:4.5, on average of a weight; or weights_bytes:0.3, a share of the float32 weights' bytes. Bits are those of
    the linear layers, scales and zero points included; bytes those of the whole file of weights."""

    sensitivity: Literal["measured", "gradient"] = "measured"
    """measured: each layer is rounded in turn; gradient: the harm is estimated in a few passes. measured takes each
    width of each layer: minutes for a small encoder, hours for a decoder on a CPU. gradient: from squared gradients of
    the log-likelihood (diagonal Fisher information), in the time of a few passes."""

    def parsed_budget(self) -> "Budget":
        from effcomp.quant.rounding.widths import Budget

        unit, _, number = self.budget.partition(":")
        candidates = tuple(Grid(self.group_size, bits, self.zero_point) for bits in WIDTHS)
        return Budget(unit, float(number), candidates, self.embeddings)

    @property
    def calibration_samples(self) -> int:
        return self.samples

    @property
    def rounds(self) -> bool:
        return True

    def check_shapes(self, model: "PreTrainedModel") -> None:
        from effcomp.models.linear import unify_linear
        from effcomp.quant.rounding.widths import check_budget

        unify_linear(model)
        check_budget(self.parsed_budget(), model)

    def check_training(self, runtime: str) -> None:
        Quant.check_training(self, runtime)  # the bits of a layer are chosen after training

    def round_layers(self, model: "PreTrainedModel", samples: list[Batch]) -> LayerMap:
        from effcomp.quant.rounding.methods import METHODS
        from effcomp.quant.rounding.widths import choose_grids

        self.round_embeddings(model)
        grids, layers = choose_grids(self.parsed_budget(), self.sensitivity == "measured", model, samples)
        METHODS[self.rounding](model, grids, samples)
        return layers


@lowers(Mixed, "torch", "compile", "cuda_graphs")
def to_torch(quant: Mixed) -> TensorLowering:
    return dequantized(quant, tolerance=1.0)
