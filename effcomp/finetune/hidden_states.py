"""Distillation of hidden states, layer by layer. It needs PyTorch."""

from collections.abc import Sequence

import torch
from torch import Tensor

TEACHING = 4
"""Number of the teacher's layers that teach, at equal distances; the last is one of them."""


def nearest_loss(own: Sequence[Tensor], theirs: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Return the mean squared difference of hidden states, over the teacher's layers that teach, each compared with the
    layer whose states are nearest at present (Xia et al. 2022, "Structured Pruning Learns Compact and Accurate Models",
    section 3.3).

    Both models are as wide, so that no linear map stands between: pruning leaves the width.

    Args:
        own, theirs: hidden states after each layer, first to last, (batch, tokens, features) each.
        mask: attention mask, (batch, tokens); padding does not count.
    """
    count = min(TEACHING, len(theirs))
    teaching = [theirs[len(theirs) * number // count - 1] for number in range(1, count + 1)]
    real = mask[..., None].bool()
    distances = [torch.stack([difference(mine, one, real) for mine in own]).min() for one in teaching]
    return torch.stack(distances).mean()


def difference(own: Tensor, theirs: Tensor, real: Tensor) -> Tensor:
    """Return the mean squared difference over real tokens and features."""
    squares = (own.float() - theirs.float()).square() * real
    return squares.sum() / (real.sum() * own.shape[-1])
