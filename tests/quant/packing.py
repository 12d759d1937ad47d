"""Layers packed as GPTQ, AWQ and compressed-tensors publish their layouts; shares no code with what reads them."""

from dataclasses import dataclass

import torch
from torch import Tensor


def words(codes: Tensor, bits: int) -> Tensor:
    """Pack each row's codes, the first in the lowest bits of the first word; a code may cross two words."""
    packed = []
    for row in codes.tolist():
        number = sum(int(code) << bits * place for place, code in enumerate(row))
        packed.append([number >> 32 * word & 0xFFFFFFFF for word in range(-(-len(row) * bits // 32))])
    unsigned = torch.tensor(packed)
    return torch.where(unsigned < 1 << 31, unsigned, unsigned - (1 << 32)).int()


@dataclass
class Known:
    """A layer of codes q and zero points z, unsigned, with w = scale * (q - z) of the group of each input."""

    bits: int
    group_of: Tensor
    """(in,)"""
    codes: Tensor
    """(out, in)"""
    zeros: Tensor
    """(out, groups)"""
    scale: Tensor
    """(out, groups) float16."""

    @property
    def weight(self) -> Tensor:
        return self.scale.float()[:, self.group_of] * (self.codes - self.zeros[:, self.group_of])


def random_layer(bits: int, group_of: Tensor, outputs: int) -> Known:
    generator = torch.Generator().manual_seed(bits)
    groups = int(group_of.max()) + 1
    codes = torch.randint(0, 2**bits, (outputs, len(group_of)), generator=generator)
    zeros = torch.randint(0, 2**bits, (outputs, groups), generator=generator)
    return Known(bits, group_of, codes, zeros, (torch.rand(outputs, groups, generator=generator) + 0.1).half())


def gptq(known: Known, *, less: int) -> dict[str, Tensor]:
    """QuantLinear of AutoGPTQ: codes packed along the inputs, zero points along the outputs, with `less` taken off."""
    return {
        "qweight": words(known.codes, known.bits).T.contiguous(),
        "qzeros": words((known.zeros - less).remainder(2**known.bits).T, known.bits),
        "scales": known.scale.T.contiguous(),
        "g_idx": known.group_of.int(),
    }


def awq(known: Known) -> dict[str, Tensor]:
    """WQLinear_GEMM of AutoAWQ: place i of a word holds output order[i] of eight."""
    order = [0, 2, 4, 6, 1, 3, 5, 7]

    def interleaved(codes: Tensor) -> Tensor:
        return words(codes.unflatten(1, (-1, 8))[..., order].flatten(1), 4)

    return {"qweight": interleaved(known.codes.T), "qzeros": interleaved(known.zeros.T), "scales": known.scale.T}


def compressed_tensors(known: Known, *, zeros: str) -> dict[str, Tensor]:
    """pack_to_int32: codes less 2^(bits - 1), which packing adds again; zero points packed along the outputs."""
    stored = {
        "none": {},
        "packed": {"weight_zero_point": words(known.zeros.T, known.bits).T.contiguous()},
        "int8": {"weight_zero_point": (known.zeros - 2 ** (known.bits - 1)).to(torch.int8)},
    }[zeros]
    return {
        "weight_packed": words(known.codes, known.bits),
        "weight_scale": known.scale,
        "weight_shape": torch.tensor(known.codes.shape),
        **stored,
    }
