"""Codes of 2, 3, 4 or 8 bits, and how they lie in bytes.

Imported where a model is encoded or decoded: it needs PyTorch.
"""

import numpy as np
import torch
from torch import Tensor


def pack(codes: Tensor, bits: int) -> Tensor:
    """Pack (out, in) int8 codes in [-2^(bits - 1), 2^(bits - 1)) as (out, ceil(bits * in / 8)) uint8; 8 bits stay int8.

    Each code has 2^(bits - 1) added. Codes of 2 or 4 bits never cross a byte, the first in the lowest bits; those of
    3 bits follow one another, highest bit first.
    """
    if bits == 8:
        return codes
    unsigned = (codes + 2 ** (bits - 1)).to(torch.uint8)
    if 8 % bits:
        places = np.unpackbits(unsigned.numpy()[..., None], axis=-1)[..., -bits:]
        return torch.from_numpy(np.packbits(places.reshape(len(codes), -1), axis=1))
    in_a_byte = 8 // bits
    whole = torch.nn.functional.pad(unsigned, (0, -codes.shape[1] % in_a_byte)).unflatten(1, (-1, in_a_byte))
    stored: Tensor = whole[..., 0].clone()
    for place in range(1, in_a_byte):
        stored |= whole[..., place] << (bits * place)
    return stored


def unpack(stored: Tensor, columns: int, bits: int) -> Tensor:
    """Return the (out, columns) int8 codes that `pack` packed."""
    if bits == 8:
        return stored
    if 8 % bits:
        places = np.unpackbits(stored.numpy(), axis=1, count=columns * bits).reshape(len(stored), columns, bits)
        unsigned = torch.from_numpy(places @ (1 << np.arange(bits)[::-1]).astype(np.uint8))
    else:
        unsigned = unpack_whole(stored, bits)[:, :columns]
    codes: Tensor = unsigned.to(torch.int8) - 2 ** (bits - 1)
    return codes


def unpack_whole(stored: Tensor, bits: int) -> Tensor:
    """Return the codes of 2 or 4 bits with 2^(bits - 1) added, (out, 8 / bits * bytes) uint8; on any device."""
    mask = 2**bits - 1
    return torch.stack([(stored >> shift) & mask for shift in range(0, 8, bits)], dim=-1).flatten(1)
