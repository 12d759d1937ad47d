"""Base class of weight-only formats with a scale for every group of inputs, and how their codes are chosen."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from effcomp.core.batches import Batch
from effcomp.core.errors import Skipped
from effcomp.models.blocks import ARCHITECTURES
from effcomp.quant.base import Quant
from effcomp.quant.grid import Embeddings, Grid
from effcomp.quant.lowering import Lowering, TensorLowering, lowering
from effcomp.quant.tensors import ParameterGroup
from effcomp.record.cost import LayerMap

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from effcomp.quant.rounding.fake_quant import FakeQuant

Rounding = Literal["nearest", "hqq", "gptq", "awq", "learned"]
CALIBRATED = ("gptq", "awq", "learned")
"""Methods that read training examples."""


class Grouped(Quant):
    """Weights of linear layers as s * (q - z) with an integer q, and one scale s and zero point z for each group of
    inputs."""

    bits: ClassVar[int]
    """Bits of a code."""
    group_size: int
    """Inputs of a row that share a scale; fewer are more precise and take more bytes."""
    zero_point: bool = False
    """Fit an integer zero point to each group: codes reach from its smallest to its largest weight. Without one they
    are symmetric about zero."""
    rounding: Rounding = "nearest"
    """nearest: each weight alone; hqq: scales fitted to the weights; others: codes fitted to examples. hqq: scales with
    a small lp error of the weights, without data (Badri, Shaji 2023). gptq: codes with a small squared error of each
    layer's outputs on training examples (Frantar et al. 2022), which make up for errors of the layers before too
    (GPTAQ, Li et al. 2025). awq: channels with large inputs scaled up where the layer before can undo it, and scales
    clipped, for the error of the outputs (Lin et al. 2023). learned: codes and scales
    trained to reproduce each transformer layer's outputs (AutoRound, Cheng et al. 2023); minutes for a small encoder,
    hours for a decoder on a CPU."""
    embeddings: Embeddings = "bfloat16"
    """Type that embedding tables are stored in; int8 and int4 are dequantized at load. int8 has a scale for each row,
    int4 for each group of a row, rounded to nearest: smaller files, not less memory. On torch and cuda_graphs."""
    samples: Annotated[int, Field(ge=1)] = 128
    """Training examples that gptq, awq and learned read."""

    @property
    def grid(self) -> Grid:
        """Grid of the codes of a linear layer."""
        return Grid(self.group_size, self.bits, self.zero_point)

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
        return self.samples if self.rounding in CALIBRATED else 0

    @property
    def rounds(self) -> bool:
        return self.rounding != "nearest"

    def check_config(self, config: "PretrainedConfig") -> None:
        if self.rounding == "learned" and config.model_type not in ARCHITECTURES:
            known = f"it needs an architecture of {', '.join(ARCHITECTURES)}, and this is {config.model_type}"
            raise Skipped(f"quant.rounding=learned: {known}; try quant.rounding=gptq")

    def check_training(self, runtime: str) -> None:
        if self.rounding != "nearest":
            reason = "would choose other codes than finetune=qat has trained"
            raise Skipped(f"quant.rounding={self.rounding} {reason}; use quant.rounding=nearest")
        if not isinstance(lowering(self, runtime, Lowering), TensorLowering):
            raise self.other_grid(runtime)

    def fake_quant(self, model: "PreTrainedModel") -> "dict[str, FakeQuant]":
        from effcomp.quant.grouped_tensors import table_grid
        from effcomp.quant.rounding.fake_quant import FakeGroups, clipped
        from effcomp.quant.tensors import body_layers, tables

        layers = body_layers(model)
        found: dict[str, FakeQuant] = {name: clipped(layer.weight, self.grid) for name, layer in layers.items()}
        if self.embeddings == "bfloat16":
            return found
        return found | {
            name: FakeGroups(table_grid(table.embedding_dim, self.group_size, self.embeddings))
            for name, table in tables(model).items()
        }

    def round_layers(self, model: "PreTrainedModel", samples: list[Batch]) -> LayerMap | None:
        if self.rounding == "nearest":
            return None
        from effcomp.quant.rounding.methods import METHODS
        from effcomp.quant.tensors import body_layers

        self.round_embeddings(model)
        METHODS[self.rounding](model, dict.fromkeys(body_layers(model), self.grid), samples)
        return None

    def round_embeddings(self, model: "PreTrainedModel") -> None:
        """Give coded embeddings the weights that their codes will stand for, in place, before layers are fitted."""
        from effcomp.quant.grouped_tensors import round_tables

        if self.embeddings != "bfloat16":
            round_tables(model, self.group_size, self.embeddings)
