"""GPTQ (Frantar et al. 2022, "Accurate Post-Training Quantization for Generative Pre-trained Transformers"), with the
asymmetric calibration of GPTAQ (Li et al. 2025, "GPTAQ: Efficient Finetuning-Free Quantization for Asymmetric
Calibration").

GPTQ fits each rounded layer to what its float weights make of the inputs that the rounded layers before it compute;
GPTAQ to what the float layer makes of the inputs in the float model, so that the errors of the layers before are
compensated too. Imported where a model is encoded: it needs PyTorch.
"""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from effcomp.core.batches import Batch
from effcomp.models.moments import DAMPENING, inverse_factor
from effcomp.quant.grid import Grid
from effcomp.quant.groups import Coded, quantize_groups, replace_layer, round_to
from effcomp.quant.rounding.inputs import check_finite
from effcomp.quant.rounding.ranges import best_range
from effcomp.quant.rounding.stages import by_stage
from effcomp.quant.tensors import linear_layers

BLOCK = 128
"""Columns whose errors are spread over the later ones together (GPTQ, section 3.3, step 2)."""
SHARE = 0.5
"""Share of the errors of the layers before that a layer compensates: all of them fits the noise of few examples."""


def fit_codes(weight: Tensor, hessian: Tensor, grid: Grid, drift: Tensor | None = None) -> Coded:
    """Return codes with a small squared error of the outputs.

    Columns are rounded one after another, those of the largest inputs first (activation order); the error of each is
    spread over the columns that are left. Scales are chosen beforehand, so that kernels need not know the order. An
    input that is always zero is rounded to nearest. A weight of zero, which pruning may have made, stays zero.

    Args:
        weight: (out, in), finite.
        hessian: (in, in) float64, finite, sum of x x^T over the calibration tokens.
        drift: (in, in) float64, sum of (e - x) x^T, with e what the layer reads in the float model; None: the same.
    """
    diagonal = hessian.diagonal()
    if not diagonal.any():
        return quantize_groups(weight, grid)
    damped = hessian + torch.diag((diagonal == 0) * diagonal.mean() + DAMPENING * diagonal.mean())
    wanted = weight.double()
    if drift is not None:  # the weight whose outputs on x are nearest to those of this one on e
        wanted = wanted + SHARE * torch.linalg.solve(damped, (wanted @ drift).T).T
    scale, zero_point = best_range(wanted, damped.diagonal().float(), grid)
    order = diagonal.argsort(descending=True, stable=True)
    factor = inverse_factor(damped[order][:, order])
    left, codes = wanted[:, order], zero_point.repeat_interleave(grid.group_size, dim=1)
    errors = torch.zeros_like(left)
    for place, column in enumerate(order.tolist()):
        of_group, zero = scale[:, column // grid.group_size], zero_point[:, column // grid.group_size]
        found = round_to(left[:, place, None], of_group, zero, grid)[:, 0]
        codes[:, column] = found.where(weight[:, column] != 0, zero)
        errors[:, place] = (left[:, place] - of_group * (codes[:, column].float() - zero)) / factor[place, place]
        first, end = place // BLOCK * BLOCK, (place // BLOCK + 1) * BLOCK
        left[:, place + 1 : end] -= errors[:, place, None] * factor[place, place + 1 : end]
        if place + 1 == end:
            left[:, end:] -= errors[:, first:end] @ factor[first:end, end:]
    return Coded(codes, scale, zero_point)


def round_gptq(model: PreTrainedModel, grids: dict[str, Grid], samples: list[Batch]) -> None:
    """Replace the linear layers of these names by RoundedLinear, in the order of a forward pass: each is fitted to what
    the rounded ones before it compute.

    Raises:
        UserError: the inputs of a layer are not finite.
    """
    for names, moments, drift in by_stage(model, samples, grids):
        check_finite(dict.fromkeys(names, moments), "gptq")
        layers = linear_layers(model)
        for name in names:
            replace_layer(
                model, name, fit_codes(layers[name].weight.detach(), moments, grids[name], drift), grids[name]
            )
