"""Ternary codes (Ma et al. 2024, "The Era of 1-bit LLMs", section 2), and how they lie in bytes.

Imported where a model is encoded or decoded: it needs PyTorch.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from effcomp.quant.tensors import nonzero_scale

PER_BYTE = 4


def quantize_ternary(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return codes q in {-1, 0, 1} and one scale s with w ≈ s * q: s = mean|w|, q = clip(round(w / s), -1, 1).

    A weight that is ternary already keeps its own scale, and comes back exactly.

    Args:
        weight: (out, in), floating point, finite.

    Returns:
        codes (out, in) int8, scale () float32; 1 where every weight is zero.
    """
    magnitude = weight.float().abs()
    largest = magnitude.amax()
    exact = bool(((magnitude == 0) | (magnitude == largest)).all())
    scale = nonzero_scale(largest if exact else magnitude.double().mean().float())
    return (weight.float() / scale).round().clamp(-1, 1).to(torch.int8), scale


def pack(codes: Tensor) -> Tensor:
    """Pack (out, in) int8 codes in {-1, 0, 1} as (out, ceil(in / 4)) uint8.

    Bits 2i and 2i + 1 of a byte hold the code + 1 of its column i.
    """
    columns: Tensor = pad((codes + 1).to(torch.uint8), (0, -codes.shape[1] % PER_BYTE)).unflatten(1, (-1, PER_BYTE))
    shifts = torch.arange(0, 2 * PER_BYTE, 2, dtype=torch.uint8)
    return (columns << shifts).sum(dim=-1, dtype=torch.uint8)


def unpack(stored: Tensor, in_features: int) -> Tensor:
    """Return the (out, in_features) int8 codes that `pack` packed."""
    shifts = torch.arange(0, 2 * PER_BYTE, 2, dtype=torch.uint8)
    codes = (stored[..., None] >> shifts) & 3
    return codes.flatten(1)[:, :in_features].to(torch.int8) - 1


def pack_by_planes(codes: Tensor) -> Tensor:
    """Pack (out, in) codes as (out, in / 4) uint8 for a GPU's kernels (effcomp.quant.ternary_gpu).

    With W = in / 4, byte j of a row holds the codes of its columns j, j + W, j + 2 W and j + 3 W, the first in the
    highest bits, in two's complement. in must be a multiple of 4.
    """
    stored = codes.new_zeros(len(codes), codes.shape[1] // PER_BYTE, dtype=torch.uint8)
    for number, plane in enumerate(codes.chunk(PER_BYTE, dim=1)):
        stored |= (plane & 3).to(torch.uint8) << (6 - 2 * number)
    return stored
