"""GPTQ (Frantar et al. 2022, "Accurate Post-Training Quantization for Generative Pre-trained Transformers").

Imported where a model is encoded: it needs PyTorch.
"""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from effcomp.core.batches import Batch
from effcomp.models.moments import DAMPENING, inverse_factor
from effcomp.quant.grid import Grid
from effcomp.quant.groups import Coded, quantize_groups, replace_layer, round_to
from effcomp.quant.rounding.inputs import check_finite, moments_by_block
from effcomp.quant.rounding.ranges import best_range
from effcomp.quant.tensors import linear_layers


def fit_codes(weight: Tensor, hessian: Tensor, grid: Grid) -> Coded:
    """Return codes with a small squared error of the outputs.

    Columns are rounded one after another, those of the largest inputs first (activation order); the error of each is
    spread over the columns that are left. Scales are chosen beforehand, so that kernels need not know the order. An
    input that is always zero is rounded to nearest. A weight of zero, which pruning may have made, stays zero.

    Args:
        weight: (out, in), finite.
        hessian: (in, in) float64, finite, sum of x x^T over the calibration tokens.
    """
    diagonal = hessian.diagonal()
    if not diagonal.any():
        return quantize_groups(weight, grid)
    damped = hessian + torch.diag((diagonal == 0) * diagonal.mean() + DAMPENING * diagonal.mean())
    scale, zero_point = best_range(weight, damped.diagonal().float(), grid)
    order = diagonal.argsort(descending=True, stable=True)
    factor = inverse_factor(damped[order][:, order])
    left, codes = weight.double()[:, order], zero_point.repeat_interleave(grid.group_size, dim=1)
    for place, column in enumerate(order.tolist()):
        of_group, zero = scale[:, column // grid.group_size], zero_point[:, column // grid.group_size]
        found = round_to(left[:, place, None], of_group, zero, grid)[:, 0]
        codes[:, column] = found.where(weight[:, column] != 0, zero)
        error = (left[:, place] - of_group * (codes[:, column].float() - zero)) / factor[place, place]
        left[:, place + 1 :] -= error[:, None] * factor[place, place + 1 :]
    return Coded(codes, scale, zero_point)


def round_gptq(model: PreTrainedModel, grids: dict[str, Grid], samples: list[Batch]) -> None:
    """Replace the linear layers of these names by RoundedLinear, one transformer layer after another: each is fitted to
    what the rounded ones before it compute.

    Raises:
        UserError: the inputs of a layer are not finite.
    """
    for moments in moments_by_block(model, samples):
        check_finite(moments, "gptq")
        layers = linear_layers(model)
        for name, hessian in moments.items():
            replace_layer(model, name, fit_codes(layers[name].weight.detach(), hessian, grids[name]), grids[name])
