"""GPTQ (Frantar et al. 2022, "Accurate Post-Training Quantization for Generative Pre-trained Transformers").

Imported where a model is encoded: it needs PyTorch.
"""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from effcomp.core.batches import Batch
from effcomp.core.errors import UserError
from effcomp.quant.groups import in_groups, quantize_groups, replace_layer, round_to
from effcomp.quant.rounding.inputs import moments_by_block
from effcomp.quant.tensors import linear_layers, nonzero_scale

DAMPENING = 0.01
"""Share of the mean diagonal that is added to the Hessian's diagonal (section 3.3, step 3)."""
SHRINKS = 20
"""Scales that are tried for a group: from that of its largest weight down to half of it."""


def fit_codes(weight: Tensor, hessian: Tensor, group_size: int, largest_code: int) -> tuple[Tensor, Tensor]:
    """Return codes (out, groups * group_size) int8 and scale (out, groups) with a small squared error of the outputs.

    Columns are rounded one after another, those of the largest inputs first (activation order); the error of each is
    spread over the columns that are left. Scales are chosen beforehand, so that kernels need not know the order. An
    input that is always zero is rounded to nearest. A weight of zero, which pruning may have made, keeps code zero.

    Args:
        weight: (out, in), finite.
        hessian: (in, in) float64, sum of x x^T over the calibration tokens.

    Raises:
        ValueError: the Hessian is not finite.
    """
    if not torch.isfinite(hessian).all():
        raise ValueError("its inputs hold NaN or infinity on the calibration examples")
    diagonal = hessian.diagonal()
    if not diagonal.any():
        return quantize_groups(weight, group_size, largest_code)
    damped = hessian + torch.diag((diagonal == 0) * diagonal.mean() + DAMPENING * diagonal.mean())
    scale = best_scale(weight, damped.diagonal().float(), group_size, largest_code)
    order = diagonal.argsort(descending=True, stable=True)
    factor = inverse_factor(damped[order][:, order])
    left, codes = weight.double()[:, order], torch.zeros(len(weight), scale.shape[1] * group_size, dtype=torch.int8)
    for place, column in enumerate(order.tolist()):
        of_group = scale[:, column // group_size]
        codes[:, column] = round_to(left[:, place, None], of_group, largest_code)[:, 0] * (weight[:, column] != 0)
        error = (left[:, place] - of_group * codes[:, column]) / factor[place, place]
        left[:, place + 1 :] -= error[:, None] * factor[place, place + 1 :]
    return codes, scale


def best_scale(weight: Tensor, importance: Tensor, group_size: int, largest_code: int) -> Tensor:
    """Return the scale (out, groups), exact in bfloat16, with the smallest squared error of each group's weights.

    Args:
        importance: (in,), weight of the error of each column.
    """
    groups, by_input = in_groups(weight, group_size), in_groups(importance[None], group_size)
    _, widest = quantize_groups(weight, group_size, largest_code)
    best, lowest = widest, torch.full_like(widest, torch.inf)
    for step in range(SHRINKS):
        scale = nonzero_scale((widest * (1 - 0.5 * step / SHRINKS)).bfloat16().float())
        error = groups - scale[..., None] * round_to(groups, scale, largest_code)
        loss = (error.square() * by_input).sum(-1)
        best, lowest = scale.where(loss < lowest, best), lowest.minimum(loss)
    return best


def inverse_factor(hessian: Tensor) -> Tensor:
    """Return the upper Cholesky factor of the inverse of a positive definite matrix."""
    upper: Tensor = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(hessian)), upper=True)
    return upper


def round_gptq(model: PreTrainedModel, group_size: int, largest_code: int, samples: list[Batch]) -> None:
    """Replace each linear layer but the head's by a RoundedLinear, one transformer layer after another: each is fitted
    to what the rounded ones before it compute.

    Raises:
        UserError: the inputs of a layer are not finite.
    """
    for moments in moments_by_block(model, samples):
        layers = linear_layers(model)
        for name, hessian in moments.items():
            try:
                fitted = fit_codes(layers[name].weight.detach(), hessian, group_size, largest_code)
            except ValueError as error:
                raise UserError(f"quant.rounding=gptq: {name}: {error}; try quant.rounding=hqq") from error
            replace_layer(model, layers[name], name, *fitted)
