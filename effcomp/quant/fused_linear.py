"""Linear layers that dequantize their weights in every call.

A compiler makes one kernel of that, and the usual bfloat16 product follows. This saves memory against bfloat16 at some
cost in time, and is faster than bitsandbytes' own kernels. Imported where a model is decoded: it needs PyTorch.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from effcomp.quant.grouped_tensors import Packed, load_groups
from effcomp.quant.packed import unpack_whole
from effcomp.quant.tensors import cast, linear_layers

FEW_TOKENS = 4
"""Up to so many tokens read the weights for themselves; beyond, a library's product is faster."""

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu_new": partial(nn.functional.gelu, approximate="tanh"),
    "gelu": nn.functional.gelu,
    "relu": nn.functional.relu,
}
"""Those that the kernels for a few tokens compute too, by transformers' names."""


class Activated(nn.Module):
    """A layer that computes the activation after it too, where `fuse_activations` gave it one."""

    activation: str = ""
    """The name of transformers, among ACTIVATIONS; empty: none."""

    def activated(self, output: Tensor) -> Tensor:
        """Apply the activation."""
        return ACTIVATIONS[self.activation](output) if self.activation else output


class FusedLinear(Activated):
    """Base class of layers that compute y = W x + b in bfloat16, with W from its codes."""

    by_output: ClassVar[bool] = True
    """True where the first dimension of every buffer counts the outputs."""
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
        return self.many_tokens(input)

    def many_tokens(self, input: Tensor) -> Tensor:
        """Multiply (..., in) to (..., out), bfloat16, with the weight dequantized."""
        return self.activated(nn.functional.linear(input, self.weight(), self.bias))

    def few_tokens(self, input: Tensor) -> Tensor:
        """Multiply (tokens, in) to (tokens, out), bfloat16."""
        return self.many_tokens(input)


class FloatLinear(nn.Linear, Activated):
    """A linear layer that has a kernel of its own for a few tokens on a GPU."""

    def forward(self, input: Tensor) -> Tensor:
        tokens = input.shape[:-1]
        if not input.is_cuda or tokens.numel() > FEW_TOKENS:
            return self.activated(super().forward(input))
        from effcomp.quant.few_tokens_gpu import few_tokens_rows

        output = few_tokens_rows(input.flatten(0, -2), self.weight, None, self.bias, self.activation)
        outputs: Tensor = output.unflatten(0, tokens)
        return outputs


class ByRow(FusedLinear):
    """Layer with int8 codes and one scale for each row, or for the whole matrix."""

    codes: Tensor
    scale: Tensor

    def __init__(self, codes: Tensor, scale: Tensor, bias: Tensor | None) -> None:
        """Take codes: (out, in) int8; scale: () or (out, 1) float32."""
        super().__init__(bias)
        self.register_buffer("codes", codes)
        self.register_buffer("scale", scale.float().expand(len(codes), 1).contiguous())

    def weight(self) -> Tensor:
        return (self.codes.float() * self.scale).bfloat16()

    def few_tokens(self, input: Tensor) -> Tensor:
        from effcomp.quant.few_tokens_gpu import few_tokens_rows

        output: Tensor = few_tokens_rows(input, self.codes, self.scale.flatten(), self.bias, self.activation)
        return output


class ByGroup(FusedLinear):
    """Layer with integers of 2 or 4 bits, packed, and a scale and a zero point for every group of inputs."""

    packed: Tensor
    scale: Tensor
    zero_point: Tensor | None

    def __init__(self, stored: Packed, bias: Tensor | None, in_features: int) -> None:
        super().__init__(bias)
        self.in_features, self.bits = in_features, stored.bits
        self.register_buffer("packed", stored.codes)
        self.register_buffer("scale", stored.scale.float())
        zero_point = None if stored.zero_point is None else stored.unpacked().zero_point.float()
        self.register_buffer("zero_point", zero_point)

    def weight(self) -> Tensor:
        codes = unpack_whole(self.packed, self.bits).float() - 2 ** (self.bits - 1)
        groups = codes.unflatten(1, (self.scale.shape[1], -1))
        if self.zero_point is not None:
            groups = groups - self.zero_point[..., None]
        weights: Tensor = (groups * self.scale[..., None]).flatten(1)
        return weights[:, : self.in_features].bfloat16()

    def few_tokens(self, input: Tensor) -> Tensor:
        from effcomp.quant.groups_gpu import GROUP, few_tokens_groups

        columns = 8 // self.bits * self.packed.shape[1]
        if self.bits != 4 or columns // self.scale.shape[1] % GROUP:
            return super().few_tokens(input)
        words = nn.functional.pad(input, (0, columns - self.in_features)).unflatten(1, (-1, 4, 2))
        pairs = words.transpose(1, 2).contiguous()  # here, where a compiler writes them so in the kernel before
        output: Tensor = few_tokens_groups(pairs, self.packed, self.scale, self.zero_point, self.bias, self.activation)
        return output


class ByTable(FusedLinear):
    """Layer with 4-bit indices into a table of 16 values, and a scale for every block of weights."""

    by_output: ClassVar[bool] = False
    packed: Tensor
    scale: Tensor
    table: Tensor

    def __init__(
        self, packed: Tensor, scale: Tensor, table: Tensor, bias: Tensor | None, shape: tuple[int, int]
    ) -> None:
        """Take packed: (blocks * weights of a block / 2,) uint8, row after row, the first of two in the high half, the
        last block filled up; scale: (blocks,) float32; table: (16,) float32; shape: (out, in).
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


def placed_groups(skeleton: nn.Module, tensors: dict[str, Tensor], group_size: int) -> nn.Module:
    """Return the model that dequantizes stored codes of 2 or 4 bits in each call."""
    packed, layers = load_groups(skeleton, tensors, group_size), linear_layers(skeleton)
    return placed(
        skeleton, {name: ByGroup(one, layers[name].bias, layers[name].in_features) for name, one in packed.items()}
    )
