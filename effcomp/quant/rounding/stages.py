"""Linear layers that read the same input, in the order of a forward pass, with what they read in the rounded model and
in the float model.

Imported where a model is encoded: it needs PyTorch.
"""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from effcomp.core.batches import Batch
from effcomp.models.blocks import ARCHITECTURES, channels_in
from effcomp.models.depth import layers_of
from effcomp.models.moments import summed
from effcomp.models.walk import CallArguments, Reached, Walk
from effcomp.quant.rounding.inputs import of_one_length, without_cache
from effcomp.quant.tensors import linear_layers


class Stage(NamedTuple):
    """Layers that read the same input x, and sums over the calibration tokens, (in, in) float64."""

    names: list[str]
    moments: Tensor
    """Sum of x x^T."""
    drift: Tensor
    """Sum of (e - x) x^T, with e the input in the float model."""


def by_stage(model: PreTrainedModel, samples: list[Batch], names: Iterable[str]) -> Iterator[Stage]:
    """Yield the stages of each transformer layer in turn, say query, key and value, then each of these layers that is
    outside, without drift. The caller may replace the layers that were yielded: the next ones then read what these
    compute. Layers of an architecture that effcomp.models.blocks does not know are all outside.
    """
    batches, left = of_one_length(samples), set(names)
    exact, rounded = Walk(model, batches), Walk(model, batches)
    with without_cache(model):
        for block in list(layers_of(model)) if model.config.model_type in ARCHITECTURES else []:
            outputs, both = exact.run(block), list(zip(rounded.calls(block), exact.calls(block), strict=True))
            twin, paths = deepcopy(block), {module: path for path, module in block.named_modules()}
            inside = {paths[layer]: name for name, layer in linear_layers(model).items() if layer in paths}
            for stage in stages_of(block, [path for path, name in inside.items() if name in left], both[0][0]):
                yield Stage([inside[path] for path in stage], *sums(block, twin, stage[0], both))
                left -= {inside[path] for path in stage}
            exact.pass_by(block, outputs)
            rounded.pass_by(block, rounded.run(block))
        outside = {name: layer for name, layer in linear_layers(model).items() if name in left}
        if not outside:
            return
        with summed(outside) as moments:
            rounded.run(model)
    yield from (Stage([name], one, torch.zeros_like(one)) for name, one in moments.items())


def stages_of(block: nn.Module, paths: list[str], call: CallArguments) -> list[list[str]]:
    """Return the paths of the layers that this call of the block reaches, in their order, those that read the same
    tensor together."""
    found: dict[int, tuple[Tensor, list[str]]] = {}  # with the tensor, so that its id is not given again

    def note(path: str, read: Tensor) -> None:
        found.setdefault(id(read), (read, []))[1].append(path)

    hooks = [
        block.get_submodule(path).register_forward_pre_hook(lambda _, inputs, path=path: note(path, inputs[0]))
        for path in paths
    ]
    with torch.no_grad():
        block(*call[0], **call[1])
    for hook in hooks:
        hook.remove()
    return [of_tensor for _, of_tensor in found.values()]


def sums(
    block: nn.Module, twin: nn.Module, path: str, both: list[tuple[CallArguments, CallArguments]]
) -> tuple[Tensor, Tensor]:
    """Return the moments and the drift of the inputs of a layer.

    Args:
        twin: the block with its float weights.
        path: of the layer in the block.
        both: arguments of the block in the rounded and in the float model, for each batch.
    """
    layer = block.get_submodule(path)
    moments = next(layer.parameters()).new_zeros((channels_in(layer),) * 2, dtype=torch.float64)
    drift = torch.zeros_like(moments)
    for call, exact_call in both:
        read, exact = read_by(block, path, call), read_by(twin, path, exact_call)
        moments += (read.T @ read).double()
        drift += ((exact - read).T @ read).double()
    return moments, drift


def read_by(block: nn.Module, path: str, call: CallArguments) -> Tensor:
    """Return what a layer of the block reads in this call, (tokens, in)."""
    found: list[Tensor] = []

    def stop(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        found.append(inputs[0].flatten(0, -2))
        raise Reached

    hook = block.get_submodule(path).register_forward_pre_hook(stop)
    try:
        with torch.no_grad():
            block(*call[0], **call[1])
    except Reached:
        pass
    finally:
        hook.remove()
    return found[0]
