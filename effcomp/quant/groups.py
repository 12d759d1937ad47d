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
    groups = pad(weight.float(), (0, -weight.shape[1] % group_size)).unflatten(1, (-1, group_size))
    scale = nonzero_scale(groups.abs().amax(dim=-1) / largest_code)
    codes = torch.round(groups / scale[..., None]).clamp(-largest_code, largest_code).to(torch.int8)
    return codes.flatten(1), scale


def encode_groups(
    model: nn.Module, group_size: int, largest_code: int, pack: Callable[[Tensor], Tensor]
) -> dict[str, Tensor]:
    """Return the tensors to store: packed codes and scales of the linear layers without the head, all else bfloat16."""
    tensors = stored_in(model, "bfloat16")
    for name, layer in linear_layers(model, skip=HEAD_MODULES).items():
        del tensors[f"{name}.weight"]
        codes, scale = quantize_groups(layer.weight.detach(), group_size, largest_code)
        tensors[name + CODES], tensors[name + SCALE] = pack(codes), scale.bfloat16()
    return tensors
