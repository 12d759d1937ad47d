"""Linear layers that dequantize their weights in every call.

A compiler makes one kernel of that, and the usual bfloat16 product follows. This saves memory against bfloat16 at some
cost in time, and is faster than bitsandbytes' own kernels. Imported where a model is decoded: it needs PyTorch.
"""

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from effcomp.quant.tensors import cast

FEW_TOKENS = 4
"""Up to so many tokens read the weights for themselves; beyond, a library's product is faster."""


class FusedLinear(nn.Module):
    """Base class of layers that compute y = W x + b in bfloat16, with W from its codes."""

    bias: Tensor | None

    def __init__(self, bias: Tensor | None) -> None:
        """Register the bias, (out,), as bfloat16."""
        super().__init__()
        self.register_buffer("bias", None if bias is None else bias.detach().bfloat16())

    @abstractmethod
    def weight(self) -> Tensor:
        """Return the weight, (out, in) bfloat16."""

    def forward(self, input: Tensor) -> Tensor:
        """Multiply (..., in) to (..., out), bfloat16.

        A few tokens are multiplied with the codes as they are stored, where there is a kernel for that.
        """
        tokens = input.shape[:-1]
        if input.is_cuda and tokens.numel() <= FEW_TOKENS:
            output: Tensor = self.few_tokens(input.flatten(0, -2)).unflatten(0, tokens)
            return output
        return nn.functional.linear(input, self.weight(), self.bias)

    def few_tokens(self, input: Tensor) -> Tensor:
        """Multiply (tokens, in) to (tokens, out), bfloat16."""
        return nn.functional.linear(input, self.weight(), self.bias)


class FloatLinear(nn.Linear):
    """A linear layer that has a kernel of its own for a few tokens on a GPU."""

    def forward(self, input: Tensor) -> Tensor:
        tokens = input.shape[:-1]
        if not input.is_cuda or tokens.numel() > FEW_TOKENS:
            return super().forward(input)
        from effcomp.quant.few_tokens_gpu import few_tokens_rows

        output: Tensor = few_tokens_rows(input.flatten(0, -2), self.weight, None, self.bias).unflatten(0, tokens)
        return output


class ByRow(FusedLinear):
    """Layer with int8 codes and one scale for each row, or for the whole matrix."""

    codes: Tensor
    scale: Tensor

    def __init__(self, codes: Tensor, scale: Tensor, bias: Tensor | None) -> None:
        """Take codes: (out, in) int8; scale: () or (out, 1) float32."""
        super().__init__(bias)
        self.register_buffer("codes", codes)
        self.register_buffer("scale", scale.float())

    def weight(self) -> Tensor:
        return (self.codes.float() * self.scale).bfloat16()

    def few_tokens(self, input: Tensor) -> Tensor:
        from effcomp.quant.few_tokens_gpu import few_tokens_rows

        scale = self.scale.expand(len(self.codes), 1).flatten()
        output: Tensor = few_tokens_rows(input, self.codes, scale, self.bias)
        return output


class ByGroup(FusedLinear):
    """Layer with 4-bit integers, two in a byte, and a scale for every group of inputs."""

    packed: Tensor
    scale: Tensor

    def __init__(self, packed: Tensor, scale: Tensor, bias: Tensor | None, in_features: int) -> None:
        """Take packed: (out, in / 2) uint8, codes + 8, the even columns in the low half; scale: (out, groups)."""
        super().__init__(bias)
        self.in_features = in_features
        self.register_buffer("packed", packed)
        self.register_buffer("scale", scale.float())

    def weight(self) -> Tensor:
        codes = torch.stack([self.packed & 15, self.packed >> 4], dim=-1).flatten(1).float() - 8
        groups: Tensor = codes.unflatten(1, (self.scale.shape[1], -1)) * self.scale[..., None]
        return groups.flatten(1)[:, : self.in_features].bfloat16()

    def few_tokens(self, input: Tensor) -> Tensor:
        from effcomp.quant.few_tokens_gpu import few_tokens_groups

        columns = 2 * self.packed.shape[1]
        if columns % 8 or columns // self.scale.shape[1] % 8:  # a word of codes has one scale
            return super().few_tokens(input)
        planes: Tensor = nn.functional.pad(input, (0, columns - self.in_features)).unflatten(1, (-1, 8)).transpose(1, 2)
        output: Tensor = few_tokens_groups(planes, self.packed, self.scale, self.bias)
        return output


class ByTable(FusedLinear):
    """Layer with 4-bit indices into a table of 16 values, and a scale for every block of weights."""

    packed: Tensor
    scale: Tensor
    table: Tensor

    def __init__(
        self, packed: Tensor, scale: Tensor, table: Tensor, bias: Tensor | None, shape: tuple[int, int]
    ) -> None:
        """Take packed: (out * in / 2,) uint8, row after row, the first of two in the high half; scale: (blocks,)
        float32, of as many weights each; table: (16,) float32; shape: (out, in).
        """
        super().__init__(bias)
        self.shape, self.block = shape, 2 * packed.numel() // scale.numel()
        self.register_buffer("packed", packed)
        self.register_buffer("scale", scale.float())
        self.register_buffer("table", table.float())

    def weight(self) -> Tensor:
        indices = torch.stack([self.packed >> 4, self.packed & 15], dim=-1).flatten().int()
        weights: Tensor = self.table[indices].unflatten(0, (-1, self.block)) * self.scale[:, None]
        return weights.flatten()[: self.shape[0] * self.shape[1]].view(self.shape).bfloat16()


def placed(skeleton: nn.Module, layers: Mapping[str, nn.Module]) -> nn.Module:
    """Cast the model to bfloat16 and put these layers in the places of their names."""
    cast(skeleton, torch.bfloat16)
    for name, layer in layers.items():
        skeleton.set_submodule(name, layer)
    return skeleton
