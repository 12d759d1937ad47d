"""Conversion of every linear layer to nn.Linear, the only kind that number formats and pruners handle."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

SMALLEST_SCALE = 1e-12
"""Divisor of ternary layers whose weights are all zero."""


def unify_linear(model: "nn.Module") -> None:
    """Replace GPT-2's Conv1D and BitNet's BitLinear by the nn.Linear that computes the same, in place."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    for name, layer in list(model.named_modules()):
        if isinstance(layer, Conv1D):
            inputs, outputs = layer.weight.shape
            linear = nn.Linear(inputs, outputs, device="meta")
            linear.weight = nn.Parameter(layer.weight.detach().T.contiguous())
            linear.bias = nn.Parameter(layer.bias.detach())
            model.set_submodule(name, linear)
        elif hasattr(layer, "for_inference"):
            model.set_submodule(name, layer.for_inference())


def restore_conv1d(model: "PreTrainedModel") -> None:
    """Undo `unify_linear` where the published architecture has Conv1D, in place: what transformers saves and loads."""
    import torch
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    with torch.device("meta"):
        published = type(model)(model.config)
    for name, layer in published.named_modules():
        if isinstance(layer, Conv1D):
            linear = model.get_submodule(name)
            assert isinstance(linear, nn.Linear), f"{name} came from unify_linear"
            layer.weight, layer.bias = nn.Parameter(linear.weight.detach().T.contiguous()), linear.bias
            model.set_submodule(name, layer)


def matrix(layer: "nn.Module") -> "Tensor":
    """Return the weight as (outputs, inputs), without gradient: that of an nn.Linear as it is, of a Conv1D transposed.
    A view.
    """
    weight: Tensor = layer.weight.detach()  # type: ignore[operator]
    return weight.T if hasattr(layer, "nf") else weight


@contextmanager
def same_scale(layer: "nn.Module") -> Iterator[None]:
    """Change the weight of a layer inside; BitNet's ternary weights then have the scale that they had before.

    Their scale is the masters' mean magnitude (effcomp.models.bitnet), which falls with each removed weight: the
    remaining masters are multiplied to restore it. Other layers keep the weights that the block gave them.
    """
    ternary = hasattr(layer, "for_inference")
    before = matrix(layer).abs().mean() if ternary else None
    yield
    if before is not None:
        left = matrix(layer)
        left.mul_(before / left.abs().mean().clamp(min=SMALLEST_SCALE))
