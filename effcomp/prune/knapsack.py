"""Choice of the layers' shapes that changes the loss least within a limit of their cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, inf

import numpy as np
from torch import Tensor

from effcomp.models.costs import Costs

BINS = 10_000
"""Number of parts that the cost of the whole model is divided into; a layer's cost is rounded up to whole parts."""
LayerShape = tuple[int, int]
"""(heads, neurons) of a layer."""


@dataclass(frozen=True)
class Changes:
    """Changes of the loss by what leaves a layer."""

    heads: list[float]
    """With i + 1 heads left at index i."""
    neurons: list[float]
    """With i + 1 blocks of neurons left at index i."""
    whole: float
    """Without the layer."""


def changes(importance: Sequence[Tensor], whole: float, block: int) -> Changes:
    """Return the changes of the loss by the units of a layer, the least important ones first.

    The neurons leave in blocks. A block counts as the root of its summed squares: the changes that its neurons make
    have either sign in an example, and their plain sum overstates it.

    Args:
        importance: of the heads and of the neurons, (units,) each.
    """
    heads, neurons = (one.sort().values for one in importance)
    blocks = neurons.unflatten(0, (-1, block)).norm(dim=1)
    return Changes(left(heads), left(blocks), whole)


def left(ranked: Tensor) -> list[float]:
    """Return the sum of what has left when 1, 2, ... of these remain; ranked: (units,), smallest first."""
    found: list[float] = ranked[:-1].double().cumsum(0).flip(0).tolist()
    return [*found, 0.0]


def best_shapes(layers: Sequence[Changes], costs: Costs, limit: float) -> list[LayerShape | None]:
    """Return the shape of each layer, None for one that leaves, so that the changes of the loss have the smallest sum
    and the cost is at most `limit`, or the least possible.

    A dynamic program over the layers, as in Kurtic et al. 2023 ("ZipLM: Inference-Aware Structured Pruning of Language
    Models", section 3.2). The layer whose removal changes the loss most stays in any case.
    """
    dense = [(len(one.heads), len(one.neurons) * costs.block) for one in layers]
    total = costs.total(dense)
    if limit >= total:
        return [*dense]
    unit = total / BINS
    places = max(floor((limit - costs.outside) / unit), ceil(costs.layer / unit)) + 1
    least, chosen, stays = np.zeros(places), [], max(range(len(layers)), key=lambda index: layers[index].whole)
    options = [choices(one, costs, unit, may_leave=index != stays) for index, one in enumerate(layers)]
    for of_layer in options:
        best, which = np.full(places, inf), np.zeros(places, dtype=np.int64)
        for number, (_, price, change) in enumerate(of_layer):
            if price < places:
                candidate = least[: places - price] + change
                better = candidate < best[price:]
                best[price:][better], which[price:][better] = candidate[better], number
        least = best
        chosen.append(which)
    shapes, place = [], places - 1
    for of_layer, which in zip(reversed(options), reversed(chosen), strict=True):
        shape, price, _ = of_layer[which[place]]
        shapes.append(shape)
        place -= price
    return shapes[::-1]


def choices(
    layer: Changes, costs: Costs, unit: float, *, may_leave: bool
) -> list[tuple[LayerShape | None, int, float]]:
    """Return the shapes that a layer can have, the largest first, each with its cost in units and its change of the
    loss."""
    found: list[tuple[LayerShape | None, int, float]] = [
        ((heads, blocks * costs.block), ceil(costs.of_layer(heads, blocks * costs.block) / unit), of_heads + of_neurons)
        for heads, of_heads in reversed(list(enumerate(layer.heads, start=1)))
        for blocks, of_neurons in reversed(list(enumerate(layer.neurons, start=1)))
    ]
    return [*found, (None, 0, layer.whole)] if may_leave else found


def stay(scores: Tensor, count: int) -> list[int]:
    """Return the indices of the `count` most important units, in order."""
    kept: list[int] = scores.topk(count).indices.sort().values.tolist()
    return kept
