"""Symmetric int8 codes, a linear layer that multiplies int8 by int8, and an embedding.

A weight w becomes integer codes q and a scale s with w ≈ s * q, where s = max|w| / 127 over the whole tensor or over
each output channel, and q = round(w / s) lies in [-127, 127] (Jacob et al. 2018, "Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference", section 2.1, with zero_point 0). The rounding error of each
weight is at most s / 2.

Imported where a model is encoded or decoded: it needs PyTorch.
"""

import torch
from torch import Tensor, nn

from effcomp.quant.grid import Granularity
from effcomp.quant.tensors import nonzero_scale

LARGEST_CODE = 127
SMALLEST = torch.finfo(torch.float32).tiny
FEWEST_ON_A_GPU = 17
"""Fewest rows that cuBLAS's int8 product takes."""


def quantize(weight: Tensor, granularity: Granularity) -> tuple[Tensor, Tensor]:
    """Return the integer codes and scales of a float weight.

    Args:
        weight: (out, in), floating point, finite.
        granularity: one scale for the tensor, or one for each output channel (row).

    Returns:
        codes (out, in) int8 in [-127, 127], and scale float32: () per tensor, (out, 1) per channel.
        An all-zero tensor or channel gets scale 1.

    Raises:
        ValueError: the weight holds NaN or infinity.
    """
    if not torch.isfinite(weight).all():
        raise ValueError("the weight holds NaN or infinity")
    scale = full_scale(weight, granularity)
    return nearest_codes(weight, scale), scale


def full_scale(weight: Tensor, granularity: Granularity) -> Tensor:
    """Return the scale float32 of codes that reach the largest weight: () per tensor, (out, 1) per channel."""
    magnitude = weight.float().abs()
    largest = magnitude.amax() if granularity == "per_tensor" else magnitude.amax(dim=1, keepdim=True)
    return nonzero_scale(largest / LARGEST_CODE)


def nearest_codes(weight: Tensor, scale: Tensor) -> Tensor:
    """Return the nearest codes (out, in) int8 of a weight at this scale."""
    return torch.round(weight.float() / scale).clamp(-LARGEST_CODE, LARGEST_CODE).to(torch.int8)


def dequantize(codes: Tensor, scale: Tensor) -> Tensor:
    """Return the float32 weight that codes and scale stand for."""
    largest = torch.finfo(torch.float32).max
    return (codes.float() * scale).clamp(-largest, largest)  # the scale was rounded: 127 of it may be past the largest


class Int8Linear(nn.Module):
    """Layer that computes y = s_x * s_w * (q_x @ q_w^T) + b, the products and sums in integers: vector-wise
    quantization (Dettmers et al. 2022, "LLM.int8()", section 3.1).

    Each token's activations get a scale of their own at run time, s_x = max|x| / 127, so the other tokens of a batch do
    not matter.
    """

    codes: Tensor
    scale: Tensor

    def __init__(self, codes: Tensor, scale: Tensor, bias: Tensor | None) -> None:
        """Take codes: (out, in) int8; scale: () or (out, 1) float32; bias: (out,) float32."""
        super().__init__()
        self.out_features, self.in_features = codes.shape
        self.register_buffer("codes", codes)
        self.register_buffer("scale", scale.reshape(-1))
        self.bias = bias

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., in) to (..., out), the input's dtype."""
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


class Int8Embedding(nn.Module):
    """Embedding table of int8 codes with a scale for each row: y = s * q, float32."""

    codes: Tensor
    scale: Tensor

    def __init__(self, codes: Tensor, scale: Tensor) -> None:
        """Take codes: (tokens, features) int8; scale: (tokens, 1) float32."""
        super().__init__()
        self.register_buffer("codes", codes)
        self.register_buffer("scale", scale)

    @property
    def weight(self) -> Tensor:
        """Return the whole table, (tokens, features) float32: some architectures read it."""
        return dequantize(self.codes, self.scale)

    def forward(self, input: Tensor) -> Tensor:
        """Map token ids (...) to (..., features)."""
        output: Tensor = self.codes[input].float() * self.scale[input]
        return output
