"""Check that a model keeps its matrices in the layers that number formats, pruning and adapters change."""

from contextlib import nullcontext
from typing import TYPE_CHECKING

from effcomp.core.component import nested
from effcomp.core.errors import Skipped
from effcomp.finetune.lora import LoraFinetune
from effcomp.finetune.qat import QuantAwareFinetune
from effcomp.models.heads import Head, empty_model
from effcomp.prune.base import as_recovery
from effcomp.prune.sparse import SparsePruner
from effcomp.quant.checkpoint import Checkpoint
from effcomp.quant.lowering import Lowering, TensorLowering, lowering

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig

    from effcomp.pipeline.compose import Components

LARGEST_SHARE = 0.1


def check_matrices(parts: "Components", head: Head, before: "PretrainedConfig", after: "PretrainedConfig") -> None:
    """Raise Skipped where the number format, the pruning or the adapters would leave most of a mixture of experts, or a
    third of XLNet, as it is: such matrices lie in no linear layer.

    Args:
        before, after: configs of the model before and after pruning.
    """
    lowered = lowering(parts.quant, parts.runtime.name, Lowering)
    by_layer = (
        isinstance(lowered, TensorLowering) and "linear" in lowered.applies_to and "rest" not in lowered.applies_to
    )
    if by_layer and not isinstance(parts.quant, Checkpoint):  # whoever wrote such a folder has chosen its layers
        check_share(empty_model(head, after), f"quant={parts.quant.name}", "quant=none, fp16 or bf16")
    model = empty_model(head, before)
    for context, choice in ((nullcontext(), parts.finetune), (as_recovery(), parts.prune)):
        with context:
            for one in nested(choice):
                if isinstance(one, SparsePruner):
                    check_share(model, f"prune={one.name}", "prune=none")
                elif isinstance(one, LoraFinetune | QuantAwareFinetune):
                    check_share(model, f"finetune={one.name}", "finetune=full")


def check_share(model: "nn.Module", choice: str, instead: str) -> None:
    """Raise Skipped where more than LARGEST_SHARE of the parameters are matrices outside linear layers and embedding
    tables.

    Args:
        choice: that does not change them, for the message.
        instead: a choice that does.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    layers = (nn.Linear, nn.Embedding, Conv1D)
    loose = {
        name: parameter.numel()
        for name, parameter in model.named_parameters()
        if parameter.ndim > 1 and not isinstance(model.get_submodule(name.rpartition(".")[0]), layers)
    }
    share = sum(loose.values()) / sum(parameter.numel() for parameter in model.parameters())
    if share > LARGEST_SHARE:
        largest = max(loose, key=lambda name: loose[name])
        reason = f"{choice} changes linear layers, and {share:.0%} of the parameters lie in none ({largest})"
        raise Skipped(f"{reason}; choose {instead}")
