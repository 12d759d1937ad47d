"""One kind of linear layer: number formats and pruners then need to know no other."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


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
