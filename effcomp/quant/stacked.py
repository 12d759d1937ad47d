"""Linear layers that read the same input, computed as one: query, key and value; gate and up.

One token's product takes a few microseconds, and so does its launch. Imported where a model is decoded: it needs
PyTorch.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from effcomp.models.blocks import ARCHITECTURES, parts


class Stack(nn.Module):
    """One layer that computes the outputs of several."""

    def __init__(self, whole: nn.Module, sizes: Sequence[int]) -> None:
        """Wrap the stacked layer; sizes: number of outputs of each layer in it."""
        super().__init__()
        self.whole, self.sizes = whole, list(sizes)
        self.outputs: Sequence[Tensor] = ()


class Slice(nn.Module):
    """One of the stacked layers. A model calls them in order with the same input; the first computes for all."""

    def __init__(self, stack: Stack, index: int) -> None:
        super().__init__()
        self.stack, self.index = stack, index

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., in) to (..., out of this layer).

        Raises:
            IndexError: it is called before the first.
        """
        if self.index == 0:
            self.stack.outputs = self.stack.whole(input).split(self.stack.sizes, dim=-1)
        output = self.stack.outputs[self.index]
        if self.index == len(self.stack.sizes) - 1:
            self.stack.outputs = ()
        return output


def same_input(model: PreTrainedModel) -> Iterator[list[str]]:
    """Yield the names of layers that a block of the model calls one after another with the same input."""
    if model.config.model_type not in ARCHITECTURES:
        return
    names = {module: name for name, module in model.named_modules()}
    for layer, both in parts(model):
        yield from ([f"{names[layer]}.{path}" for path in units.makers] for units in both if len(units.makers) > 1)


def stack(model: PreTrainedModel, names: Sequence[str], whole: nn.Module, sizes: Sequence[int]) -> None:
    """Replace these layers by `whole`, which computes all of their outputs."""
    together = Stack(whole, sizes)
    for index, name in enumerate(names):
        model.set_submodule(name, Slice(together, index))


def stack_floats(model: PreTrainedModel) -> None:
    """Stack the plain linear layers of a model that read the same input, in place."""
    for names in list(same_input(model)):
        layers = [model.get_submodule(name) for name in names]
        if any(type(layer) is not nn.Linear for layer in layers):
            continue
        linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
        sizes, biases = [layer.out_features for layer in linear], [layer.bias for layer in linear]
        whole = nn.Linear(linear[0].in_features, sum(sizes), bias=biases[0] is not None, device="meta")
        whole.weight = nn.Parameter(torch.cat([layer.weight.detach() for layer in linear]), requires_grad=False)
        if biases[0] is not None:
            whole.bias = nn.Parameter(torch.cat([bias.detach() for bias in biases]), requires_grad=False)
        stack(model, names, whole, sizes)
