"""Training with ternary weights (Ma et al. 2024, "The Era of 1-bit LLMs", section 2)."""

from typing import TYPE_CHECKING, ClassVar

from effcomp.finetune.full import FullFinetune
from effcomp.models.linear import restore_conv1d, unify_linear
from effcomp.quant.tensors import HEAD_MODULES, linear_layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from effcomp.models.heads import Head


class TernaryFinetune(FullFinetune):
    """Training of every linear layer but the head with ternary weights and 8-bit activations, over float masters.

    The checkpoint holds the ternary weights in float32, and so the trained function; quant=ternary stores it unchanged
    in two bits a weight.
    """

    id: ClassVar[str] = "finetune/ternary"
    refuses: ClassVar[dict[str, str]] = {"bitnet": "its own layers are ternary already; use finetune=full"}

    def adapt(self, model: "PreTrainedModel", head: "Head", place: str) -> "PreTrainedModel":
        from effcomp.models.bitnet import BitLinear

        unify_linear(model)
        for layer in linear_layers(model, skip=HEAD_MODULES).values():
            layer.__class__ = BitLinear
        return model

    def merge(self, model: "PreTrainedModel") -> "PreTrainedModel":
        import torch
        from torch import nn

        from effcomp.models.bitnet import BitLinear, ternary

        with torch.no_grad():
            for layer in model.modules():
                if isinstance(layer, BitLinear):
                    layer.weight.copy_(ternary(layer.weight))
                    layer.__class__ = nn.Linear  # type: ignore[assignment]  # its parameters are the same
        restore_conv1d(model)
        return model
