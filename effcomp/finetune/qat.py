"""Quantization-aware training: the model is trained with the roundings of a number format.

The forward pass computes with rounded weights and activations, and the gradient passes each rounding unchanged
(effcomp.quant.rounding.fake_quant). The checkpoint holds the rounded weights in float32, and so the trained function.
The format finds the same codes in them.
"""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from effcomp.finetune.distill import DistillFinetune
from effcomp.models.linear import restore_conv1d, unify_linear
from effcomp.quant.base import Quant
from effcomp.quant.tensors import linear_layers, tables

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from effcomp.models.heads import Head


class QuantAwareFinetune(DistillFinetune):
    """Training of every parameter with the roundings of the run's number format, and with a teacher where one is named,
    as finetune=distill.

    model.path=CHECKPOINT begins with a model that was fine-tuned in float, which needs fewer epochs.
    """

    id: ClassVar[str] = "finetune/qat"
    needs_teacher: ClassVar[bool] = False
    refuses: ClassVar[dict[str, str]] = {"bitnet": "its own layers are ternary already; use finetune=full"}
    teacher: Path | None
    """Folder written by save_pretrained: learn from this float model too; null: from the labels alone."""
    quant: Quant
    """Number format to train for: the run's own, `${quant}`."""

    def adapt(self, model: "PreTrainedModel", head: "Head", place: str) -> "PreTrainedModel":
        from effcomp.quant.rounding.fake_quant import begin

        unify_linear(model)
        rounding = self.quant.fake_quant(model)
        by_weight = {id(table.weight): rounding[name] for name, table in tables(model).items() if name in rounding}
        for name, layer in linear_layers(model).items():
            if id(layer.weight) in by_weight:  # a head that is tied to the embeddings
                rounding[name] = by_weight[id(layer.weight)]
        for name, one in rounding.items():
            begin(model.get_submodule(name), one)
        return model

    def merge(self, model: "PreTrainedModel") -> "PreTrainedModel":
        from effcomp.quant.rounding.fake_quant import finish

        finish(model)
        restore_conv1d(model)
        return model


class TernaryFinetune(QuantAwareFinetune):
    """Training with ternary weights and 8-bit activations in every linear layer but the head (Ma et al. 2024, "The Era
    of 1-bit LLMs", section 2), whatever format the run measures; quant=ternary stores them in two bits."""

    id: ClassVar[str] = "finetune/ternary"
