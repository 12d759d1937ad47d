"""Linear layer with 4-bit weights and bfloat16 activations.

Imported where a model is decoded: it needs PyTorch.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from effcomp.quant.groups import Coded

ROWS = 16
"""The kernel takes a multiple of so many outputs."""


class Int4Linear(nn.Module):
    """Linear layer on PyTorch's own kernel for 4-bit weights in groups; on a CPU it is fast for bfloat16 only."""

    packed: Tensor
    scale_and_zero: Tensor

    def __init__(self, coded: Coded, bias: Tensor | None, in_features: int) -> None:
        """Take the codes in [-8, 7], their scale in bfloat16; bias: (out,) bfloat16; in_features: number of real
        columns of codes; the others stand for zeros."""
        super().__init__()
        codes, scale = coded.codes, coded.scale
        self.out_features, self.in_features = codes.shape[0], in_features
        self.group_size, self.padding = codes.shape[1] // scale.shape[1], codes.shape[1] - in_features
        rows = -self.out_features % ROWS
        codes, scale = pad(codes, (0, 0, 0, rows)), pad(scale, (0, 0, 0, rows))
        zero = pad(-coded.scale * coded.zero_point, (0, 0, 0, rows))
        self.register_buffer("packed", torch._convert_weight_to_int4pack_for_cpu((codes + 8).int(), 1))
        self.register_buffer("scale_and_zero", torch.stack([scale.t(), zero.t()], dim=-1).contiguous())
        self.bias = bias

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., in) to (..., out), bfloat16."""
        tokens = pad(input.reshape(-1, self.in_features), (0, self.padding)).contiguous()
        output = torch._weight_int4pack_mm_for_cpu(tokens, self.packed, self.group_size, self.scale_and_zero)
        output = output[:, : self.out_features]
        if self.bias is not None:
            output = output + self.bias
        return output.reshape(*input.shape[:-1], self.out_features)
