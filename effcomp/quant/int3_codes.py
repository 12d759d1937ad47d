"""3-bit codes, and how they lie in bytes.

Imported where a model is encoded or decoded: it needs PyTorch.
"""

import numpy as np
import torch
from torch import Tensor

LARGEST_CODE = 3
BITS = 3


def pack(codes: Tensor) -> Tensor:
    """Pack (out, in) int8 codes in [-4, 3] as (out, ceil(3 in / 8)) uint8: the three bits of each code + 4 in turn."""
    bits = np.unpackbits((codes + 4).to(torch.uint8).numpy()[..., None], axis=-1)[..., -BITS:]
    return torch.from_numpy(np.packbits(bits.reshape(len(codes), -1), axis=1))


def unpack(stored: Tensor, columns: int) -> Tensor:
    """Return the (out, columns) int8 codes that `pack` packed."""
    bits = np.unpackbits(stored.numpy(), axis=1, count=columns * BITS).reshape(len(stored), columns, BITS)
    return torch.from_numpy(bits @ np.array([4, 2, 1], dtype=np.uint8)).to(torch.int8) - 4
