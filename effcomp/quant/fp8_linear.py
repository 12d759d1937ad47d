"""E4M3 codes, and a linear layer that multiplies them.

Imported where a model is encoded or decoded: it needs PyTorch.
"""

import torch
from torch import Tensor, nn

from effcomp.quant.tensors import nonzero_scale

LARGEST = 448.0
"""The largest finite value of E4M3."""
SMALLEST = torch.finfo(torch.float32).tiny


def quantize_fp8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return E4M3 codes (4 exponent bits, 3 mantissa bits) and a scale for each output: w ≈ s * q, s = max|w| / 448.

    Args:
        weight: (out, in), finite.

    Returns:
        codes (out, in) float8_e4m3fn, and scale (out, 1) float32, which is 1 for a row of zeros.
    """
    scale = nonzero_scale(weight.float().abs().amax(dim=1, keepdim=True) / LARGEST)
    return (weight.float() / scale).clamp(-LARGEST, LARGEST).to(torch.float8_e4m3fn), scale


class Fp8Linear(nn.Module):
    """Layer that computes y = s_x * s_w * (q_x @ q_w^T) + b in 8-bit floats.

    Each token's activations get a scale of their own, s_x = max|x| / 448.
    """

    codes: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, codes: Tensor, scale: Tensor, bias: Tensor | None) -> None:
        """Take codes: (out, in) float8_e4m3fn; scale: (out, 1) float32; bias: (out,)."""
        super().__init__()
        self.in_features = codes.shape[1]
        self.register_buffer("codes", codes)
        self.register_buffer("scale", scale.float().t().contiguous())
        self.register_buffer("bias", None if bias is None else bias.detach().bfloat16())

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., in) to (..., out), bfloat16."""
        tokens = input.reshape(-1, self.in_features).float()
        scale = (tokens.abs().amax(dim=-1, keepdim=True) / LARGEST).clamp(min=SMALLEST)
        values = (tokens / scale).clamp(-LARGEST, LARGEST).to(torch.float8_e4m3fn)
        output = torch._scaled_mm(
            values,
            self.codes.t(),
            scale_a=scale,
            scale_b=self.scale,
            bias=self.bias,
            out_dtype=torch.bfloat16,
            use_fast_accum=True,
        )
        outputs: Tensor = output.unflatten(0, input.shape[:-1])
        return outputs
