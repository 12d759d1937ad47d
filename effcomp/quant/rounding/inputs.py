"""Inputs of transformer layers on calibration examples, and second moments of those of linear layers.

Imported where a model is encoded: it needs PyTorch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from effcomp.core.batches import Batch
from effcomp.core.errors import UserError
from effcomp.models.blocks import ARCHITECTURES
from effcomp.models.depth import layers_of
from effcomp.quant.tensors import HEAD_MODULES, linear_layers

L = TypeVar("L", bound=nn.Module)
T = TypeVar("T")
Moments = dict[str, Tensor]
"""Sum of x x^T over the input tokens of each linear layer, (in, in) float64; zeros for a layer that is not called."""


Call = tuple[tuple[Any, ...], dict[str, Any]]
"""Arguments of a call of a module, by position and by name."""


class Reached(Exception):
    """The module of interest has returned; the rest of the forward pass is not needed."""


class Walk:
    """Forward passes of the calibration examples that go from one transformer layer to the next.

    The layers before the present one return what they returned last, without computing it again.
    """

    def __init__(self, model: PreTrainedModel, samples: Sequence[Batch]) -> None:
        """Start before the first layer of a model in eval mode, on the CPU; samples: each a batch of one, without
        padding."""
        self.model, self.samples = model, samples
        self.done: list[nn.Module] = []
        self.kept: list[Any] = [None] * len(samples)

    def run(self, stop_at: nn.Module) -> list[Any]:
        """Run the model on each sample until this module returns; return its outputs."""
        return [self.reached(stop_at, batch, kept)[1] for batch, kept in zip(self.samples, self.kept, strict=True)]

    def calls(self, stop_at: nn.Module) -> list[Call]:
        """Run the model on each sample until this module returns; return its arguments."""
        return [self.reached(stop_at, batch, kept)[0] for batch, kept in zip(self.samples, self.kept, strict=True)]

    def pass_by(self, block: nn.Module, outputs: list[Any]) -> None:
        """Go on after this layer, which returns these outputs from now on."""
        self.done.append(block)
        self.kept = outputs

    def reached(self, module: nn.Module, batch: Batch, kept: Any) -> tuple[Call, Any]:
        """Run the model until this module returns; return its arguments and its output."""
        found: list[tuple[Call, Any]] = []

        def stop(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            found.append(((args, kwargs), output))
            raise Reached

        hook = module.register_forward_hook(stop, with_kwargs=True)
        try:
            with torch.no_grad(), replaced(self.done, kept):
                self.model(**{name: torch.from_numpy(ids) for name, ids in batch.items()})
        except Reached:
            pass
        finally:
            hook.remove()
        return found[0]


def moments_by_block(model: PreTrainedModel, samples: Sequence[Batch]) -> Iterator[Moments]:
    """Yield the moments of each transformer layer's linear layers in turn, then of those outside; without the head. See
    `by_block`."""
    return by_block(Walk(model, samples), linear_layers(model, skip=HEAD_MODULES), summed)


def by_block(
    walk: Walk, layers: Mapping[str, L], summing: Callable[[dict[str, L]], AbstractContextManager[T]]
) -> Iterator[T]:
    """Yield what is summed over the inputs of these layers: of those of each transformer layer in turn, then of those
    outside.

    The caller may replace or change the layers that were yielded: the next ones then read what these compute. Layers of
    an architecture that effcomp.models.blocks does not know are yielded all at once.

    Args:
        walk: not begun.
        summing: sums over the inputs of the layers that it is given, in the calls that are made inside.
    """
    outside, model = dict(layers), walk.model
    for block in list(layers_of(model)) if model.config.model_type in ARCHITECTURES else []:
        own = set(block.modules())
        inside = {name: layer for name, layer in outside.items() if layer in own}
        outside = {name: layer for name, layer in outside.items() if layer not in own}
        with summing(inside) as sums:
            walk.run(block)
        yield sums
        walk.pass_by(block, walk.run(block))
    if outside:
        with summing(outside) as sums:
            walk.run(model)
        yield sums


@contextmanager
def watched(layers: Mapping[str, nn.Module], add: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Call `add` with the name and the inputs, (tokens, in), of these layers in the calls that are made inside."""

    def watch(name: str, layer: nn.Module) -> "torch.utils.hooks.RemovableHandle":
        return layer.register_forward_pre_hook(lambda _, inputs: add(name, inputs[0].flatten(0, -2)))

    hooks = [watch(name, layer) for name, layer in layers.items()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


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


def check_finite(moments: Moments, rounding: str) -> None:
    """Raise UserError where the inputs of a layer are not finite."""
    for name, one in moments.items():
        if not torch.isfinite(one).all():
            reason = f"{name}: its inputs hold NaN or infinity on the calibration examples"
            raise UserError(f"quant.rounding={rounding}: {reason}; try quant.rounding=hqq")


@contextmanager
def summed(layers: dict[str, nn.Linear]) -> Iterator[Moments]:
    """Sum the moments of these layers in the calls that are made inside."""
    moments = {
        name: torch.zeros(layer.in_features, layer.in_features, dtype=torch.float64) for name, layer in layers.items()
    }

    def add(name: str, tokens: Tensor) -> None:
        moments[name] += (tokens.T @ tokens).double()

    with watched(layers, add):
        yield moments
