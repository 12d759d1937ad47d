"""Costs of heads and neurons, and the units that are worth theirs."""

from dataclasses import dataclass
from math import gcd

from torch import Tensor, nn
from transformers import PreTrainedModel

from effcomp.models.blocks import Units, counts, parts
from effcomp.models.linear import matrix
from effcomp.prune.importance import Importance
from effcomp.prune.structured import NEURONS_STEP


@dataclass(frozen=True)
class Cost:
    """Cost of the heads, or of the neurons, of a layer."""

    units: int
    """Number of them."""
    step: int
    """Number of them that leave together, and that stay at least."""
    each: float
    """Cost of a single one, in parameters or in multiplications of a token."""


def unit_costs(model: PreTrainedModel, quantity: str) -> list[list[Cost]]:
    """Return the costs of each layer's heads and neurons: [[heads, neurons], ...].

    Args:
        quantity: `parameters`, or `operations`, which biases and normalizations take none of.
    """
    found = []
    for (layer, both), totals in zip(parts(model), counts(model.config), strict=True):
        steps = (1, gcd(NEURONS_STEP, totals[1]))
        found.append(
            [
                Cost(total, step, weights(layer, units, quantity) / total)
                for units, total, step in zip(both, totals, steps, strict=True)
            ]
        )
    return found


def weights(layer: nn.Module, units: Units, quantity: str) -> int:
    """Count the weights that make and read all heads, or all neurons, of a layer."""
    makers, reader = [layer.get_submodule(path) for path in units.makers], layer.get_submodule(units.reader)
    if quantity == "operations":
        return sum(matrix(one).numel() for one in (*makers, reader))
    norm = [layer.get_submodule(units.norm)] if units.norm is not None else []
    return matrix(reader).numel() + sum(one.numel() for module in (*makers, *norm) for one in module.parameters())


def total_cost(model: PreTrainedModel, quantity: str) -> int:
    """Return the parameters of a model without its head, or the multiplications of a token in its layers' matrices."""
    if quantity == "parameters":
        return sum(parameter.numel() for parameter in model.parameters())
    return sum(weights(layer, units, quantity) for layer, both in parts(model) for units in both)


def best_units(importance: Importance, costs: list[list[Cost]], saving: float) -> list[tuple[list[int], list[int]]]:
    """Return the heads and neurons of each layer that stay after the least important for their cost have left, until
    the costs have fallen by `saving`, or nothing more can leave.

    The neurons of a layer leave in blocks, the least important ones together. A block counts as the root of its summed
    squares: the changes that its neurons make have either sign in an example, and their plain sum overstates it.
    """
    blocks = []
    for index, (scores, both) in enumerate(zip(importance, costs, strict=True)):
        for kind, (units, cost) in enumerate(zip(scores, both, strict=True)):
            ranked = units.sort().values[: cost.units - cost.step]
            price = cost.each * cost.step
            blocks += [(float(block.norm()) / price, price, index, kind) for block in ranked.split(cost.step)]
    sizes = [[cost.units for cost in both] for both in costs]
    for _, price, index, kind in sorted(blocks):
        if saving <= 0:
            break
        sizes[index][kind] -= costs[index][kind].step
        saving -= price
    return [
        (stay(heads, sizes[index][0]), stay(neurons, sizes[index][1]))
        for index, (heads, neurons) in enumerate(importance)
    ]


def stay(scores: Tensor, count: int) -> list[int]:
    """Return the indices of the `count` most important units, in order."""
    kept: list[int] = scores.topk(count).indices.sort().values.tolist()
    return kept
