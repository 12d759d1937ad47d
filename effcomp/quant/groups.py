"""Codes in groups of inputs, each group with a scale of its own.

Imported where a model is encoded: it needs PyTorch.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from effcomp.quant.tensors import CODES, HEAD_MODULES, SCALE, linear_layers, nonzero_scale, stored_in


def quantize_groups(weight: Tensor, group_size: int, largest_code: int) -> tuple[Tensor, Tensor]:
    """Return symmetric codes of each row's groups of `group_size` inputs: w ≈ s * q, s = max|w| / largest_code.

    Args:
        weight: (out, in), finite.

    Returns:
        codes (out, groups * group_size) int8 in [-largest_code, largest_code], zeros after the last input, and scale
        (out, groups) float32; an all-zero group gets scale 1.
    """
    groups = in_groups(weight, group_size)
    scale = nonzero_scale(groups.abs().amax(dim=-1) / largest_code)
    return round_to(groups, scale, largest_code).flatten(1), scale


def in_groups(weight: Tensor, group_size: int) -> Tensor:
    """Return (out, groups, group_size) float32, zeros after the last input."""
    return pad(weight.float(), (0, -weight.shape[1] % group_size)).unflatten(1, (-1, group_size))


def round_to(groups: Tensor, scale: Tensor, largest_code: int) -> Tensor:
    """Return the nearest codes of (..., group_size) weights at these scales (...), int8."""
    return torch.round(groups / scale[..., None]).clamp(-largest_code, largest_code).to(torch.int8)


class RoundedLinear(nn.Linear):
    """A linear layer in float32 whose codes are chosen already; its weight is what they stand for."""

    def __init__(self, layer: nn.Linear, codes: Tensor, scale: Tensor) -> None:
        """codes: (out, groups * group_size) int8; scale: (out, groups) float32, exact in bfloat16."""
        super().__init__(layer.in_features, layer.out_features, bias=False, device="meta")
        self.codes, self.scale = codes, scale.bfloat16().float()
        weight = (codes.unflatten(1, (scale.shape[1], -1)) * self.scale[..., None]).flatten(1)
        self.weight = nn.Parameter(weight[:, : layer.in_features].contiguous(), requires_grad=False)
        self.bias = layer.bias


def replace_layer(model: nn.Module, layer: nn.Linear, name: str, codes: Tensor, scale: Tensor) -> None:
    """Put a RoundedLinear in the place of the layer, which has this name."""
    model.set_submodule(name, RoundedLinear(layer, codes, scale).train(layer.training))


def encode_groups(
    model: nn.Module, group_size: int, largest_code: int, pack: Callable[[Tensor], Tensor]
) -> dict[str, Tensor]:
    """Return the tensors to store: packed codes and scales of the linear layers without the head, all else bfloat16.

    A RoundedLinear keeps its codes; any other layer is rounded to nearest.
    """
    tensors = stored_in(model, "bfloat16")
    for name, layer in linear_layers(model, skip=HEAD_MODULES).items():
        del tensors[f"{name}.weight"]
        if isinstance(layer, RoundedLinear):
            codes, scale = layer.codes, layer.scale
        else:
            codes, scale = quantize_groups(layer.weight.detach(), group_size, largest_code)
        tensors[name + CODES], tensors[name + SCALE] = pack(codes), scale.bfloat16()
    return tensors
