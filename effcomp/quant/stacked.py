"""Linear layers that read the same input, computed as one: query, key and value; gate and up.

One token's product takes a few microseconds, and so does its launch. Imported where a model is decoded: it needs
PyTorch.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from effcomp.models.blocks import ARCHITECTURES, layers_with_units
from effcomp.quant.fused_linear import FusedLinear


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
    for layer, both in layers_with_units(model):
        yield from ([f"{names[layer]}.{path}" for path in units.makers] for units in both if len(units.makers) > 1)


def stack(model: PreTrainedModel, names: Sequence[str], whole: nn.Module, sizes: Sequence[int]) -> None:
    """Replace these layers by `whole`, which computes all of their outputs."""
    together = Stack(whole, sizes)
    for index, name in enumerate(names):
        model.set_submodule(name, Slice(together, index))


def stack_layers(model: PreTrainedModel) -> None:
    """Stack the layers of a model that read the same input, in place: plain ones, and those with codes by output."""
    for names in list(same_input(model)):
        layers = [model.get_submodule(name) for name in names]
        if len({type(layer) for layer in layers}) > 1:
            continue
        if type(layers[0]) is nn.Linear:
            linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
            stack(model, names, joined_floats(linear), [layer.out_features for layer in linear])
        elif isinstance(layers[0], FusedLinear) and layers[0].by_output and len(set(map(row_shapes, layers))) == 1:
            stack(model, names, joined_codes(layers), [len(next(layer.buffers())) for layer in layers])


def joined_floats(layers: Sequence[nn.Linear]) -> nn.Linear:
    """Return one layer with the outputs of all."""
    biases = [layer.bias for layer in layers]
    whole = nn.Linear(layers[0].in_features, 0, bias=biases[0] is not None, device="meta")
    whole.weight = nn.Parameter(torch.cat([layer.weight.detach() for layer in layers]), requires_grad=False)
    whole.out_features = len(whole.weight)
    if biases[0] is not None:
        whole.bias = nn.Parameter(torch.cat([bias.detach() for bias in biases]), requires_grad=False)
    return whole


def row_shapes(layer: nn.Module) -> tuple[tuple[str, torch.Size], ...]:
    """Return the shape of one output's part of each buffer."""
    return tuple((name, buffer.shape[1:]) for name, buffer in layer.named_buffers())


def joined_codes(layers: Sequence[nn.Module]) -> nn.Module:
    """Return one layer with the outputs of all; their buffers count the outputs first."""
    whole = deepcopy(layers[0])
    for name in dict(whole.named_buffers()):
        setattr(whole, name, torch.cat([layer.get_buffer(name) for layer in layers]))
    return whole
