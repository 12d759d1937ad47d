"""A linear layer that multiplies int8 by int8. Imported where a model is decoded."""

import torch
from torch import Tensor, nn

from effcomp.quant.int8 import LARGEST_CODE

SMALLEST = torch.finfo(torch.float32).tiny
FEWEST_ON_A_GPU = 17
"""Rows that cuBLAS's int8 product wants at least."""


class Int8Linear(nn.Module):
    """y = s_x * s_w * (q_x @ q_w^T) + b, the products and sums in integers: vector-wise quantisation (Dettmers et al.
    2022, "LLM.int8()", section 3.1).

    Each token's activations get a scale of their own at run time, s_x = max|x| / 127: what stands beside it in a batch
    changes nothing.
    """

    codes: Tensor
    scale: Tensor

    def __init__(self, codes: Tensor, scale: Tensor, bias: Tensor | None) -> None:
        """codes: (out, in) int8; scale: () or (out, 1) float32; bias: (out,) float32."""
        super().__init__()
        self.out_features, self.in_features = codes.shape
        self.register_buffer("codes", codes)
        self.register_buffer("scale", scale.reshape(-1))
        self.bias = bias

    def forward(self, input: Tensor) -> Tensor:
        """(..., in) to (..., out), the input's dtype."""
        tokens = input.reshape(-1, self.in_features)
        scale = (tokens.abs().amax(dim=-1, keepdim=True).float() / LARGEST_CODE).clamp(min=SMALLEST)
        values = (tokens / scale).round().to(torch.int8)
        if values.is_cuda and len(values) < FEWEST_ON_A_GPU:
            values = nn.functional.pad(values, (0, 0, 0, FEWEST_ON_A_GPU - len(values)))
        sums = torch._int_mm(values, self.codes.t())[: len(tokens)]
        output = sums.float() * scale * self.scale
        if self.bias is not None:
            output = output + self.bias
        return output.to(input.dtype).reshape(*input.shape[:-1], self.out_features)
