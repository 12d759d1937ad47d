"""Forward passes that go from one transformer layer to the next, with what each layer reads.

For work on one layer after another, each on what the changed ones before it compute: rounding, pruning without
training. It needs PyTorch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from effcomp.core.batches import Batch
from effcomp.models.blocks import ARCHITECTURES
from effcomp.models.depth import layers_of

L = TypeVar("L", bound=nn.Module)
T = TypeVar("T")
CallArguments = tuple[tuple[Any, ...], dict[str, Any]]
"""Arguments of a call of a module, by position and by name."""


class Reached(Exception):
    """The module of interest has returned; the rest of the forward pass is not needed."""


class Walk:
    """Forward passes of the examples that go from one transformer layer to the next.

    The layers before the present one return what they returned last, without computing it again.
    """

    def __init__(self, model: PreTrainedModel, samples: Sequence[Batch]) -> None:
        """Start before the first layer of a model in eval mode; samples: each a batch of one, without padding."""
        self.model, self.samples = model, samples
        self.done: list[nn.Module] = []
        self.kept: list[Any] = [None] * len(samples)

    def run(self, stop_at: nn.Module) -> list[Any]:
        """Run the model on each sample until this module returns; return its outputs."""
        return [self.reached(stop_at, batch, kept)[1] for batch, kept in zip(self.samples, self.kept, strict=True)]

    def calls(self, stop_at: nn.Module) -> list[CallArguments]:
        """Run the model on each sample until this module returns; return its arguments."""
        return [self.reached(stop_at, batch, kept)[0] for batch, kept in zip(self.samples, self.kept, strict=True)]

    def pass_by(self, block: nn.Module, outputs: list[Any]) -> None:
        """Go on after this layer, which returns these outputs from now on."""
        self.done.append(block)
        self.kept = outputs

    def reached(self, module: nn.Module, batch: Batch, kept: Any) -> tuple[CallArguments, Any]:
        """Run the model until this module returns; return its arguments and its output."""
        found: list[tuple[CallArguments, Any]] = []

        def stop(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            found.append(((args, kwargs), output))
            raise Reached

        hook = module.register_forward_hook(stop, with_kwargs=True)
        try:
            with torch.no_grad(), replaced(self.done, kept):
                self.model(**{name: torch.from_numpy(ids).to(self.model.device) for name, ids in batch.items()})
        except Reached:
            pass
        finally:
            hook.remove()
        return found[0]


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
