"""Cost of a model by the shapes of its layers, in any unit that adds up: weights, bytes, milliseconds."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, permutations
from math import gcd
from typing import TYPE_CHECKING, NamedTuple

from effcomp.models.blocks import Counts, Units, counts, layers_with_units
from effcomp.models.linear import matrix

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

NEURONS_STEP = 64
"""Block size of the 4-bit formats. Float32 kernels with AVX-512 take the time of the next multiple of 16, so that no
width between two multiples of 64 is out of proportion."""

NOISE = 0.05
"""Share by which the costs of two shapes of like cost differ without a disturbance."""
SHARES = (0.0, 0.5)
"""Shares of the heads, and of the neurons, that are measured beside all of them; at least one head, or block."""


def block_of(neurons: int) -> int:
    """Return how many neurons of a layer leave together: 64 where the published number is a multiple of it."""
    return gcd(NEURONS_STEP, neurons)


@dataclass(frozen=True)
class Costs:
    """Cost of each shape that the layers of a model can have."""

    outside: float
    """Cost of all that is in no layer: embeddings, head, the call itself."""
    layer: float
    """Cost of a layer with one head and one block of neurons."""
    heads: Sequence[float]
    """Cost of further heads: at index i of i of them."""
    neurons: Sequence[float]
    """Cost of further blocks of neurons, as `heads`."""
    block: int
    """Number of neurons in a block."""

    def of_layer(self, heads: int, neurons: int) -> float:
        """Return the cost of a layer with at least one head and one block of neurons."""
        return self.layer + self.heads[heads - 1] + self.neurons[neurons // self.block - 1]

    def total(self, shape: Iterable[Sequence[int]]) -> float:
        """Return the cost of a model with layers of these heads and neurons."""
        return self.outside + sum(self.of_layer(heads, neurons) for heads, neurons in shape)


def counted(model: "PreTrainedModel", quantity: str, block: int) -> Costs:
    """Count what the shapes of this model's layers cost.

    Args:
        quantity: `parameters`, of the model without its head; or `operations`, the multiplications of a token in the
            matrices of the layers.
        block: number of neurons that leave together.
    """
    shape, (layer, both) = counts(model.config), next(layers_with_units(model))
    one_head, one_neuron = (
        weights(layer, units, quantity) / total for units, total in zip(both, shape[0], strict=True)
    )
    steps, fixed = (one_head, one_neuron * block), 0.0
    if quantity == "parameters":  # normalizations, and the biases of what the heads and neurons make
        in_units = one_head * shape[0][0] + one_neuron * shape[0][1]
        fixed = sum(one.numel() for one in layer.parameters()) - in_units
    heads, blocks = (max(units) for units in zip(*shape, strict=True))
    costs = Costs(
        outside=0.0,
        layer=fixed + sum(steps),
        heads=[steps[0] * more for more in range(heads)],
        neurons=[steps[1] * more for more in range(blocks // block)],
        block=block,
    )
    if quantity == "operations":
        return costs
    return replace(costs, outside=sum(one.numel() for one in model.base_model.parameters()) - costs.total(shape))


def weights(layer: "nn.Module", units: Units, quantity: str) -> int:
    """Count the weights that make and read all heads, or all neurons, of a layer."""
    makers, reader = [layer.get_submodule(path) for path in units.makers], layer.get_submodule(units.reader)
    if quantity == "operations":
        return sum(matrix(one).numel() for one in (*makers, reader))
    norm = [layer.get_submodule(units.norm)] if units.norm is not None else []
    return matrix(reader).numel() + sum(one.numel() for module in (*makers, *norm) for one in module.parameters())


class Shape(NamedTuple):
    """Shape of a model whose layers are all alike."""

    layers: int
    heads: int
    blocks: int
    """Blocks of neurons."""


def shapes_to_measure(present: Counts, block: int) -> list[Shape]:
    """Return the shapes that `fitted` needs: the full one, one of a single layer, of fewer heads, of fewer neurons."""
    full = Shape(len(present), max(one[0] for one in present), max(one[1] for one in present) // block)
    fewer = [full._replace(heads=max(1, round(share * full.heads))) for share in SHARES]
    fewer += [full._replace(blocks=max(1, round(share * full.blocks))) for share in SHARES]
    return list(dict.fromkeys([full, full._replace(layers=1), *fewer]))


def contradictions(measured: Mapping[Shape, float]) -> set[Shape]:
    """Return the shapes that cost less than a smaller one by more than NOISE, and those smaller ones: one of the two
    was disturbed."""
    pairs = permutations(measured.items(), 2)
    found = [
        (small, large)
        for (small, its), (large, cost) in pairs
        if all(one <= other for one, other in zip(small, large, strict=True)) and its > (1 + NOISE) * cost
    ]
    return {shape for pair in found for shape in pair}


def fitted(measured: Mapping[Shape, float], block: int) -> Costs:
    """Return the costs of all shapes from those of some; between them costs are interpolated.

    A shape that costs more than a larger one was disturbed, and takes the cost of that.

    Args:
        measured: costs of `shapes_to_measure`.
        block: number of neurons in a block.
    """
    full = max(measured)
    heads, neurons = (
        further(
            {
                getattr(shape, axis): cost / full.layers
                for shape, cost in measured.items()
                if shape._replace(**{axis: getattr(full, axis)}) == full
            }
        )
        for axis in ("heads", "blocks")
    )
    further_layers = (measured[full] - measured[full._replace(layers=1)]) / max(1, full.layers - 1)
    of_layer = min(further_layers, measured[full] / full.layers)
    layer = max(0.0, of_layer - heads[-1] - neurons[-1])
    outside = max(0.0, measured[full] - full.layers * (layer + heads[-1] + neurons[-1]))
    if outside + layer == 0:  # disturbed times; one head and one block take their share at least
        layer = measured[full] / full.layers / max(full.heads, full.blocks)
    return Costs(outside, layer, heads, neurons, block)


def further(costs: Mapping[int, float]) -> list[float]:
    """Return the cost of 0, 1, 2, ... units after the first; costs: of some numbers of units, 1 among them."""
    sizes = sorted(costs)
    rising = list(accumulate((costs[size] for size in reversed(sizes)), min))[::-1]
    return [interpolated(sizes, rising, units) - rising[0] for units in range(1, sizes[-1] + 1)]


def interpolated(sizes: Sequence[int], costs: Sequence[float], units: int) -> float:
    """Return the cost of this number of units on the line between the measured ones around it."""
    above = bisect_left(sizes, units)
    if sizes[above] == units:
        return costs[above]
    share = (units - sizes[above - 1]) / (sizes[above] - sizes[above - 1])
    return costs[above - 1] + share * (costs[above] - costs[above - 1])
