"""Base class of weight-only formats with a scale for every group of inputs, and how their codes are chosen."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from effcomp.core.batches import Batch
from effcomp.quant.base import Embeddings, Quant
from effcomp.quant.tensors import ParameterGroup

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Rounding = Literal["nearest", "hqq", "gptq"]


class Grouped(Quant):
    """Weights of linear layers as s * q with an integer q and one scale s for each group of inputs."""

    largest_code: ClassVar[int]
    """Codes lie in [-largest_code, largest_code]."""
    group_size: Literal[32, 64, 128]
    """Inputs of a row that share a scale; fewer are more precise and take more bytes."""
    rounding: Rounding = "nearest"
    """nearest: each weight alone. hqq: scales with a small lp error of the weights, without data (Badri, Shaji 2023).
    gptq: codes with a small squared error of each layer's outputs on training examples (Frantar et al. 2022)."""
    embeddings: Embeddings = "bfloat16"
    """Type that embedding tables are stored in; int8 and int4 have a scale for each group of a row, rounded to nearest.
    They are dequantized at load: smaller files, not less memory."""
    samples: Annotated[int, Field(ge=1)] = 128
    """Training examples that gptq reads."""

    @property
    def own_codes(self) -> bool:
        """Tell whether these settings need effcomp's codes, which other libraries do not read."""
        return self.rounding != "nearest" or self.embeddings != "bfloat16"

    @property
    def coded(self) -> tuple[ParameterGroup, ...]:
        """Parameters that are stored in codes by PyTorch's lowerings."""
        return ("linear",) if self.embeddings == "bfloat16" else ("embeddings", "linear")

    @property
    def calibration_samples(self) -> int:
        return self.samples if self.rounding == "gptq" else 0

    def round_layers(self, model: "PreTrainedModel", samples: list[Batch]) -> None:
        if self.rounding == "nearest":
            return
        from effcomp.quant.rounding.methods import METHODS

        METHODS[self.rounding](model, self.group_size, self.largest_code, samples)
