"""3-bit integer weights in groups: how few bits a model bears, for there is no kernel that is fast with them."""

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from effcomp.quant.base import (
    Arithmetic,
    Quant,
    Way,
    cast,
    linear_layers,
    load_floats,
    split_codes,
)
from effcomp.quant.int4 import encoded_groups

if TYPE_CHECKING:
    from torch import Tensor, nn

LARGEST_CODE = 3
BITS = 3


def packed(codes: "Tensor") -> "Tensor":
    """(out, in) int8 codes in [-4, 3] as (out, ceil(3 in / 8)) uint8: the three bits of each code + 4, one code after
    another."""
    import torch

    bits = np.unpackbits((codes + 4).to(torch.uint8).numpy()[..., None], axis=-1)[..., -BITS:]
    return torch.from_numpy(np.packbits(bits.reshape(len(codes), -1), axis=1))


def unpacked(stored: "Tensor", columns: int) -> "Tensor":
    """What `packed` packed: (out, columns) int8."""
    import torch

    bits = np.unpackbits(stored.numpy(), axis=1, count=columns * BITS).reshape(len(stored), columns, BITS)
    return torch.from_numpy(bits @ np.array([4, 2, 1], dtype=np.uint8)).to(torch.int8) - 4


class Int3(Quant):
    """3-bit weights with a scale for every group of inputs; linear layers without the head. They are dequantised to
    bfloat16 at load: that saves disk and download, neither time nor memory beside bf16."""

    id: ClassVar[str] = "quant/int3"
    group_size: Literal[32, 64, 128]

    @property
    def ways(self) -> dict[str, Way]:
        return dict.fromkeys(("torch", "compile", "cuda_graphs"), Way(("linear",)))

    @property
    def arithmetic(self) -> Arithmetic:
        return "bfloat16"

    def encode(self, model: "nn.Module") -> "dict[str, Tensor]":
        return encoded_groups(model, self.group_size, LARGEST_CODE, packed)

    def decode(self, skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> "nn.Module":
        import torch

        coded, floats = split_codes(tensors)
        layers = linear_layers(skeleton)
        weights = {}
        for name, (codes, scale) in coded.items():
            groups = unpacked(codes, scale.shape[1] * self.group_size).unflatten(1, (-1, self.group_size))
            weight = (groups * scale[..., None]).flatten(1)
            weights[f"{name}.weight"] = weight[:, : layers[name].in_features].contiguous()
        load_floats(skeleton, floats | weights)
        return cast(skeleton, torch.bfloat16)
