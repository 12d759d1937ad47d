"""Ternary codes (Ma et al. 2024, "The Era of 1-bit LLMs", section 2), and how they lie in bytes.

Imported where a model is encoded or decoded: it needs PyTorch.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from effcomp.quant.tensors import nonzero_scale

PER_BYTE = 4
LINE = 64
"""Bytes of a row that a kernel of the processor reads at a time (effcomp.quant.integer_products)."""


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


def pack_by_lines(codes: Tensor) -> Tensor:
    """Pack (out, in) int8 codes in {-1, 0, 1} as (out, ceil(in / 256) * 64) uint8, as artifacts store them.

    In byte j of line l, bits 2 i and 2 i + 1 hold the code + 1 of column 256 l + 64 i + j.
    """
    padded = pad(codes, (0, -codes.shape[1] % (PER_BYTE * LINE)))
    first, second, third, fourth = (padded + 1).to(torch.uint8).unflatten(1, (-1, PER_BYTE, LINE)).unbind(2)
    packed: Tensor = (first | second << 2 | third << 4 | fourth << 6).flatten(1)
    return packed


def unpack_lines(packed: Tensor, in_features: int) -> Tensor:
    """Return the (out, in_features) int8 codes that `pack_by_lines` packed."""
    planes = torch.stack([(packed >> shift) & 3 for shift in range(0, 2 * PER_BYTE, 2)], dim=1)  # (out, 4, bytes)
    codes = planes.unflatten(2, (-1, LINE)).transpose(1, 2).flatten(1)
    found: Tensor = codes[:, :in_features].to(torch.int8) - 1
    return found


def unpack(stored: Tensor, in_features: int) -> Tensor:
    """Return the (out, in_features) int8 codes of an artifact of effcomp 0.1 and before: bits 2 i and 2 i + 1 of a byte
    hold the code + 1 of its column i."""
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
