"""Choice of the bits of each layer: its harm measured, and an integer program.

The harm of a layer at a width is the Kullback-Leibler divergence of the predictions from the float model's, when this
layer alone is rounded to nearest: the rise of the loss that is expected where the float model's predictions are true.
No labels are needed. Harms are taken to add up. Imported where a model is encoded: it needs PyTorch.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import kl_div

from effcomp.core.batches import Batch
from effcomp.core.errors import UserError
from effcomp.quant.grid import Grid
from effcomp.quant.grouped_tensors import encode_groups, packed_tensors
from effcomp.quant.groups import Coded, quantize_groups
from effcomp.quant.tensors import HEAD_MODULES, linear_layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from effcomp.quant.mixed import Mixed

log = logging.getLogger(__name__)
SAMPLES = 32
"""Calibration examples on which harms are measured."""


def choose_grids(quant: "Mixed", model: "PreTrainedModel", samples: Sequence[Batch]) -> dict[str, Grid]:
    """Return the grid of each linear layer but the head's, by the layer's name.

    Raises:
        UserError: the budget is below what the fewest bits take, or the predictions are not finite.
    """
    layers, candidates = linear_layers(model, skip=HEAD_MODULES), quant.candidates
    harms = measure_harms(model, layers, candidates, samples[:SAMPLES])
    if not np.isfinite(harms).all():
        raise UserError(f"quant={quant.name}: the predictions on the calibration examples hold NaN or infinity")
    sizes = np.array([[stored_bytes(layer, grid) for grid in candidates] for layer in layers.values()])
    chosen = solve(harms, sizes, allowed_bytes(quant, model, layers))
    if chosen is None:
        raise UserError(f"quant.budget={quant.budget}: 2 bits in every layer take more; give a larger budget")
    grids = {name: candidates[place] for name, place in zip(layers, chosen, strict=True)}
    log.info("bits by layer: %s", {name: grid.bits for name, grid in grids.items()})
    return grids


def measure_harms(
    model: nn.Module, layers: Mapping[str, nn.Linear], candidates: Sequence[Grid], samples: Sequence[Batch]
) -> NDArray[np.float64]:
    """Return the harm of each layer on each grid, (layers, grids), in nats a prediction; the model stays as it is."""
    harms = np.zeros((len(layers), len(candidates)))
    for batch in samples:
        expected = log_probabilities(model, batch)
        for row, layer in enumerate(layers.values()):
            weight = layer.weight.data
            for column, grid in enumerate(candidates):
                layer.weight.data = as_stored(quantize_groups(weight, grid)).weight(layer.in_features)
                found = log_probabilities(model, batch)
                harms[row, column] += float(kl_div(found, expected, reduction="batchmean", log_target=True))
            layer.weight.data = weight
    return harms / len(samples)


def as_stored(coded: Coded) -> Coded:
    """Return the codes with the scale that an artifact holds, in float32."""
    return coded._replace(scale=coded.scale.bfloat16().float())


def log_probabilities(model: nn.Module, batch: Batch) -> Tensor:
    """Return the logarithms of the probabilities of the model's predictions, (predictions, classes) float32."""
    with torch.inference_mode():
        logits = model(**{name: torch.from_numpy(ids) for name, ids in batch.items()}).logits
    found: Tensor = logits.float().flatten(0, -2).log_softmax(-1)
    return found


def stored_bytes(layer: nn.Linear, grid: Grid) -> int:
    """Return the bytes of the layer's weight on this grid."""
    tensors = packed_tensors("", quantize_groups(layer.weight.detach(), grid), grid)
    return sum(tensor.nbytes for tensor in tensors.values())


def allowed_bytes(quant: "Mixed", model: nn.Module, layers: Mapping[str, nn.Linear]) -> float:
    """Return the bytes that the weights of these layers may take."""
    unit, number = quant.limit
    if unit == "bits":
        return number / 8 * sum(layer.weight.numel() for layer in layers.values())
    stored = encode_groups(model, quant.candidates[0], quant.embeddings)
    others = sum(tensor.nbytes for name, tensor in stored.items() if name.rpartition(".")[0] not in layers)
    others += sum(tensor.nbytes for name, tensor in stored.items() if name.endswith(".bias") and name[:-5] in layers)
    return number * 4 * sum(parameter.numel() for parameter in model.parameters()) - others


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
