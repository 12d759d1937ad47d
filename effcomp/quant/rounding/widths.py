"""Choice of the bits of each layer: an integer program over their harms, which are taken to add up.

Imported where a model is encoded: it needs PyTorch.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import nn

from effcomp.core.batches import Batch
from effcomp.core.errors import UserError
from effcomp.core.interval import Interval
from effcomp.core.statistics import mean_interval
from effcomp.quant.grid import Embeddings, Grid
from effcomp.quant.grouped_tensors import table_grid
from effcomp.quant.rounding.sensitivity import estimate_harms, measure_harms
from effcomp.quant.tensors import body_layers, tables
from effcomp.record.cost import LayerCandidate, LayerMap

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)
SAMPLES = 32
"""Calibration examples on which harms are measured."""
Sizes = NDArray[np.int64]


@dataclass(frozen=True)
class Budget:
    """Limit of the bytes of the weights, and the grids that a layer can have."""

    unit: str
    """bits: of a weight of the linear layers on average; weights_bytes: of the file."""
    number: float
    """Number of bits, or share of the float32 weights' bytes."""
    candidates: tuple[Grid, ...]
    """From the fewest bits up."""
    embeddings: Embeddings
    """Type that the embedding tables are stored in."""


def choose_grids(
    budget: Budget, measured: bool, model: "PreTrainedModel", samples: Sequence[Batch]
) -> tuple[dict[str, Grid], LayerMap]:
    """Return the grid of each linear layer but the head's, by the layer's name, and what it was chosen from.

    Args:
        measured: round each layer in turn to find its harm; otherwise estimate the harms from gradients.

    Raises:
        UserError: the budget is below what the fewest bits take, or the predictions are not finite.
    """
    check_budget(budget, model)
    layers, candidates = body_layers(model), budget.candidates
    by_sample = None
    if measured:
        by_sample = measure_harms(model, layers, candidates, samples[:SAMPLES])
        harms = by_sample.mean(axis=0)
    else:
        harms = estimate_harms(model, layers, candidates, samples[:SAMPLES])
    if not np.isfinite(harms).all():
        raise UserError("quant=mixed: the predictions on the calibration examples hold NaN or infinity")
    sizes = sizes_of(layers, candidates)
    chosen = solve(harms, sizes, allowed_bytes(budget, model))
    assert chosen is not None, "check_budget has found that the fewest bits fit"
    grids = {name: candidates[place] for name, place in zip(layers, chosen, strict=True)}
    counts = Counter(grid.bits for grid in grids.values())
    log.info("layers by width: %s", ", ".join(f"{counts[bits]} of int{bits}" for bits in sorted(counts)))
    of_layers = harms[None] if by_sample is None else by_sample
    return grids, layer_map(grids, candidates, of_layers, sizes)


def layer_map(
    chosen: Mapping[str, Grid], candidates: Sequence[Grid], harms: NDArray[np.float64], sizes: Sizes
) -> LayerMap:
    """Return harm and bytes of each layer on each grid; harms have intervals over the samples, where there are several.

    Args:
        chosen: the grid of each layer.
        harms: (samples, layers, grids).
        sizes: (layers, grids).
    """

    def harm(row: int, column: int) -> Interval | float:
        values = harms[:, row, column]
        return mean_interval(values, seed=0) if len(values) > 1 else float(values[0])

    return {
        name: {
            f"int{grid.bits}": LayerCandidate(
                harm=harm(row, column), bytes=int(sizes[row, column]), chosen=grid == chosen[name]
            )
            for column, grid in enumerate(candidates)
        }
        for row, name in enumerate(chosen)
    }


def sizes_of(layers: Mapping[str, nn.Linear], candidates: Sequence[Grid]) -> Sizes:
    """Return the bytes of each layer's weight on each grid, (layers, grids)."""
    shapes = [(layer.out_features, layer.in_features) for layer in layers.values()]
    return np.array([[grid.stored_bytes(*shape) for grid in candidates] for shape in shapes])


def check_budget(budget: Budget, model: "PreTrainedModel") -> None:
    """Raise UserError for a budget below what the fewest bits take; reads the model's shapes alone."""
    least = int(sizes_of(body_layers(model), budget.candidates[:1]).sum())
    smallest = ceil(1e4 * (least + other_bytes(budget, model)) / unit_bytes(budget.unit, model)) / 1e4
    if least > allowed_bytes(budget, model):
        reason = f"{budget.candidates[0].bits} bits in every layer take more"
        asked = f"quant.budget={budget.unit}:{budget.number:g}"
        raise UserError(f"{asked}: {reason}; give at least {budget.unit}:{smallest:g}")


def allowed_bytes(budget: Budget, model: nn.Module) -> float:
    """Return the bytes that the weights of the layers may take together."""
    return budget.number * unit_bytes(budget.unit, model) - other_bytes(budget, model)


def unit_bytes(unit: str, model: nn.Module) -> float:
    """Return the bytes of a budget of 1: one bit for each weight of the layers, or the float32 weights."""
    if unit == "bits":
        return sum(layer.weight.numel() for layer in body_layers(model).values()) / 8
    return 4 * sum(parameter.numel() for parameter in model.parameters())


def other_bytes(budget: Budget, model: nn.Module) -> int:
    """Return the bytes in the budget of all that is not a weight of these layers: none of a budget of bits; the rest of
    the file of one of weights_bytes, bfloat16 but for coded embeddings."""
    if budget.unit == "bits":
        return 0
    apart = {id(layer.weight) for layer in body_layers(model).values()}
    total = 0
    if budget.embeddings != "bfloat16":
        coded = {id(table.weight): table.weight for table in tables(model).values()}
        for weight in coded.values():
            grid = table_grid(weight.shape[1], budget.candidates[0].group_size, budget.embeddings)
            total += grid.stored_bytes(*weight.shape)
        apart |= coded.keys()
    stored = model.state_dict().keys()
    buffers = [buffer for name, buffer in model.named_buffers() if name in stored]
    total += sum(2 * one.numel() for one in model.parameters() if id(one) not in apart)
    return total + sum(one.numel() * (2 if one.is_floating_point() else one.element_size()) for one in buffers)


def solve(harms: NDArray[np.float64], sizes: NDArray[np.int64], allowed: float) -> list[int] | None:
    """Return the column of each row with the smallest sum of harms whose sizes sum to at most `allowed`; None where no
    choice does. Exact, by scipy's mixed-integer solver.

    Args:
        harms: (layers, grids), finite.
        sizes: (layers, grids).
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    rows, columns = harms.shape
    one_of_each = np.kron(np.eye(rows), np.ones(columns))
    unit = max(float(harms.max()), np.finfo(float).tiny)  # the solver's tolerances are absolute
    found = milp(
        harms.ravel() / unit,
        constraints=[LinearConstraint(one_of_each, 1, 1), LinearConstraint(sizes.ravel() / 1024, ub=allowed / 1024)],
        bounds=Bounds(0, 1),
        integrality=np.ones(rows * columns),
        options={"mip_rel_gap": 0},
    )
    if found.x is None:
        return None
    return [int(place) for place in found.x.reshape(rows, columns).argmax(axis=1)]
