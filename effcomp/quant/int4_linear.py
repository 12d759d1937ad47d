"""4-bit codes, and a linear layer with 4-bit weights and bfloat16 activations.

Imported where a model is encoded or decoded: it needs PyTorch.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

LARGEST_CODE = 7
ROWS = 16
"""The kernel takes a multiple of so many outputs."""


def pack(codes: Tensor) -> Tensor:
    """Pack (out, in) int8 codes in [-8, 7] as (out, in / 2) uint8: code + 8, the even columns in the low half."""
    shifted = (codes + 8).to(torch.uint8)
    return shifted[:, ::2] | (shifted[:, 1::2] << 4)


def unpack(stored: Tensor) -> Tensor:
    """Return the (out, in) int8 codes that `pack` packed."""
    return torch.stack([stored & 15, stored >> 4], dim=-1).flatten(1).to(torch.int8) - 8


class Int4Linear(nn.Module):
    """Linear layer on PyTorch's own kernel for 4-bit weights in groups; on a CPU it is fast for bfloat16 only."""

    packed: Tensor
    scale_and_zero: Tensor

    def __init__(self, codes: Tensor, scale: Tensor, bias: Tensor | None, in_features: int) -> None:
        """Take codes: (out, groups * group_size) int8 in [-8, 7]; scale: (out, groups) bfloat16; bias: (out,) bfloat16;
        in_features: number of real columns of codes; the others are zero."""
        super().__init__()
        self.out_features, self.in_features = codes.shape[0], in_features
        self.group_size, self.padding = codes.shape[1] // scale.shape[1], codes.shape[1] - in_features
        rows = -self.out_features % ROWS
        codes, scale = pad(codes, (0, 0, 0, rows)), pad(scale, (0, 0, 0, rows))
        self.register_buffer("packed", torch._convert_weight_to_int4pack_for_cpu((codes + 8).int(), 1))
        zero = torch.zeros_like(scale.t())
        self.register_buffer("scale_and_zero", torch.stack([scale.t(), zero], dim=-1).contiguous())
        self.bias = bias

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., in) to (..., out), bfloat16."""
        tokens = pad(input.reshape(-1, self.in_features), (0, self.padding)).contiguous()
        output = torch._weight_int4pack_mm_for_cpu(tokens, self.packed, self.group_size, self.scale_and_zero)
        output = output[:, : self.out_features]
        if self.bias is not None:
            output = output + self.bias
        return output.reshape(*input.shape[:-1], self.out_features)
