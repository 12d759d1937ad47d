"""Importance of the heads and the neurons of a model."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from effcomp.finetune.base import TrainingSetup
from effcomp.finetune.rows import drawn_batches
from effcomp.models.blocks import counts, layers_with_units
from effcomp.models.linear import matrix

Importance = list[list[Tensor]]
"""Importance of each layer's heads and neurons: [[heads, neurons], ...], each (units,) float32."""


def magnitude(model: PreTrainedModel) -> Importance:
    """Return the L1 norm of the weights that make and read each unit (Li et al. 2017, "Pruning Filters for Efficient
    ConvNets", section 3.1, of filters).
    """
    found = []
    for (layer, both), totals in zip(layers_with_units(model), counts(model.config), strict=True):
        scores = []
        for units, total in zip(both, totals, strict=True):
            score = matrix(layer.get_submodule(units.reader)).abs().sum(dim=0).unflatten(0, (total, -1)).sum(dim=1)
            for path in units.makers:
                made = matrix(layer.get_submodule(path)).abs().sum(dim=1)
                score = score + made.unflatten(0, (units.fused, total, -1)).sum(dim=(0, 2))
            scores.append(score)
        found.append(scores)
    return found


def taylor(setup: TrainingSetup, samples: int) -> Importance:
    """Estimate the change of an example's loss without a unit, to first order:

        mean over examples | sum over tokens and the unit's channels of x * dL/dx |

    where x is what the output projection, or the down projection, reads (Molchanov et al. 2019, "Importance
    Estimation for Neural Network Pruning", section 3.1; of heads Michel et al. 2019, "Are Sixteen Heads Really Better
    than One?", section 4.1).

    Args:
        samples: number of training examples, drawn with the run's seed, or of blocks of documents.
    """
    model = setup.model.to(setup.device.torch_name).eval()
    batches = drawn_batches(setup, samples)
    shape = counts(model.config)
    found = [[torch.zeros(total) for total in totals] for totals in shape]
    with readings(model) as read:
        for batch in batches:
            loss = model(**batch).loss * len(batch["input_ids"])  # the loss is a mean of the batch
            for (i, kind), gradient in zip(read, torch.autograd.grad(loss, list(read.values())), strict=True):
                change = (read[i, kind].detach() * gradient).unflatten(2, (shape[i][kind], -1)).sum(dim=(1, 3))
                found[i][kind] += change.abs().sum(dim=0).cpu()
    model.to("cpu")
    count = sum(len(batch["input_ids"]) for batch in batches)
    return [[scores / count for scores in layer] for layer in found]


@contextmanager
def readings(model: PreTrainedModel) -> Iterator[dict[tuple[int, int], Tensor]]:
    """Return the last inputs of the readers of heads (0) and neurons (1) of each layer, by (layer, 0 or 1): (batch,
    tokens, channels), with their place in the graph.
    """
    read: dict[tuple[int, int], Tensor] = {}

    def watch(layer: int, kind: int, module: nn.Module) -> "torch.utils.hooks.RemovableHandle":
        def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            read[layer, kind] = inputs[0]

        return module.register_forward_pre_hook(note)

    hooks = [
        watch(i, kind, layer.get_submodule(units.reader))
        for i, (layer, both) in enumerate(layers_with_units(model))
        for kind, units in enumerate(both)
    ]
    try:
        yield read
    finally:
        for hook in hooks:
            hook.remove()
