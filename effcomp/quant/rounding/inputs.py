"""Second moments of the inputs of linear layers on calibration examples.

Imported where a model is encoded: it needs PyTorch.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from effcomp.core.batches import Batch
from effcomp.models.blocks import ARCHITECTURES
from effcomp.models.depth import layers_of
from effcomp.quant.tensors import HEAD_MODULES, linear_layers

Moments = dict[str, Tensor]
"""Sum of x x^T over the input tokens of each linear layer, (in, in) float64; zeros for a layer that is not called."""


class Reached(Exception):
    """The module of interest has returned; the rest of the forward pass is not needed."""


def moments_by_block(model: PreTrainedModel, samples: Sequence[Batch]) -> Iterator[Moments]:
    """Yield the moments of each transformer layer's linear layers in turn, then of those outside; without the head.

    The caller may replace the layers that were yielded: the next ones then read what the replaced ones compute. Layers
    of an architecture that effcomp.models.blocks does not know are yielded all at once.

    Args:
        model: in eval mode, on the CPU.
        samples: each a batch of one, without padding.
    """
    blocks = list(layers_of(model)) if model.config.model_type in ARCHITECTURES else []
    outside = linear_layers(model, skip=HEAD_MODULES)
    done: list[nn.Module] = []
    kept: list[Any] = [None] * len(samples)
    for block in blocks:
        own = set(block.modules())
        inside = {name: layer for name, layer in outside.items() if layer in own}
        outside = {name: layer for name, layer in outside.items() if layer not in own}
        with summed(inside) as moments:
            for batch, before in zip(samples, kept, strict=True):
                output_of(block, model, batch, done, before)
        yield moments
        kept = [output_of(block, model, batch, done, before) for batch, before in zip(samples, kept, strict=True)]
        done.append(block)
    if outside:
        with summed(outside) as moments:
            for batch, before in zip(samples, kept, strict=True):
                output_of(model, model, batch, done, before)
        yield moments


def output_of(module: nn.Module, model: PreTrainedModel, batch: Batch, done: list[nn.Module], kept: Any) -> Any:
    """Run the model until this module of it returns, and return what that was.

    Args:
        done: modules that return `kept` without computing anything.
    """
    found: list[Any] = []

    def stop(_: nn.Module, __: object, output: Any) -> None:
        found.append(output)
        raise Reached

    hook = module.register_forward_hook(stop)
    try:
        with torch.no_grad(), replaced(done, kept):
            model(**{name: torch.from_numpy(ids) for name, ids in batch.items()})
    except Reached:
        pass
    finally:
        hook.remove()
    return found[0]


@contextmanager
def replaced(done: list[nn.Module], kept: Any) -> Iterator[None]:
    """Let these modules return `kept`."""
    for module in done:
        module.__dict__["forward"] = lambda *_, **__: kept
    try:
        yield
    finally:
        for module in done:
            del module.__dict__["forward"]


@contextmanager
def summed(layers: dict[str, nn.Linear]) -> Iterator[Moments]:
    """Sum the moments of these layers in the calls that are made inside."""
    moments = {
        name: torch.zeros(layer.in_features, layer.in_features, dtype=torch.float64) for name, layer in layers.items()
    }

    def watch(name: str, layer: nn.Linear) -> "torch.utils.hooks.RemovableHandle":
        def add(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            tokens = inputs[0].flatten(0, -2)
            moments[name] += (tokens.T @ tokens).double()

        return layer.register_forward_pre_hook(add)

    hooks = [watch(name, layer) for name, layer in layers.items()]
    try:
        yield moments
    finally:
        for hook in hooks:
            hook.remove()
