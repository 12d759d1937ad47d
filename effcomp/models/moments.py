"""Second moments of the inputs of linear layers. It needs PyTorch."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from effcomp.models.blocks import channels_in
from effcomp.models.walk import watched

Moments = dict[str, Tensor]
"""Sum of x x^T over the input tokens of each linear layer, (in, in) float64; zeros for a layer that is not called."""
DAMPENING = 0.01
"""Share of the mean diagonal that is added to the diagonal before the inversion (Frantar et al. 2022, "GPTQ", section
3.3, step 3)."""


@contextmanager
def summed(layers: Mapping[str, nn.Module]) -> Iterator[Moments]:
    """Sum the moments of these layers in the calls that are made inside."""
    moments = {}
    for name, layer in layers.items():
        device = next(layer.parameters()).device
        moments[name] = torch.zeros((channels_in(layer),) * 2, dtype=torch.float64, device=device)

    def add(name: str, tokens: Tensor) -> None:
        moments[name] += (tokens.T @ tokens).double()

    with watched(layers, add):
        yield moments


def not_finite(moments: Moments) -> str | None:
    """Return the name of the first layer whose inputs hold NaN or infinity; None where all are finite."""
    return next((name for name, one in moments.items() if not torch.isfinite(one).all()), None)


def inverse_factor(hessian: Tensor) -> Tensor:
    """Return the upper Cholesky factor of the inverse of a positive definite matrix."""
    upper: Tensor = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(hessian)), upper=True)
    return upper
