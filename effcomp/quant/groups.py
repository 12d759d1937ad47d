"""Codes in groups of inputs, each group with a scale of its own.

Imported where a model is encoded: it needs PyTorch.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from effcomp.quant import int4_linear
from effcomp.quant.base import Embeddings
from effcomp.quant.tensors import (
    CODES,
    HEAD_MODULES,
    SCALE,
    linear_layers,
    load_floats,
    nonzero_scale,
    split_codes,
    stored_in,
)

LARGEST_CODES = {"int8": 127, "int4": int4_linear.LARGEST_CODE}
"""Largest codes of embeddings."""


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
    groups: Tensor = pad(weight.float(), (0, -weight.shape[1] % group_size)).unflatten(1, (-1, group_size))
    return groups


def round_to(groups: Tensor, scale: Tensor, largest_code: int) -> Tensor:
    """Return the nearest codes of (..., group_size) weights at these scales (...), int8."""
    return torch.round(groups / scale[..., None]).clamp(-largest_code, largest_code).to(torch.int8)


def dequantize_groups(codes: Tensor, scale: Tensor, columns: int) -> Tensor:
    """Return the (rows, columns) weight that codes (rows, groups * group_size) and scale (rows, groups) stand for, in
    the scale's dtype."""
    weight: Tensor = (codes.unflatten(1, (scale.shape[1], -1)) * scale[..., None]).flatten(1)
    return weight[:, :columns].contiguous()


class RoundedLinear(nn.Linear):
    """A linear layer in float32 whose codes are chosen already; its weight is what they stand for."""

    def __init__(self, layer: nn.Linear, codes: Tensor, scale: Tensor) -> None:
        """Take codes: (out, groups * group_size) int8; scale: (out, groups) float32, exact in bfloat16."""
        super().__init__(layer.in_features, layer.out_features, bias=False, device="meta")
        self.codes, self.scale = codes, scale.bfloat16().float()
        self.weight = nn.Parameter(dequantize_groups(codes, self.scale, layer.in_features), requires_grad=False)
        self.bias = layer.bias


def replace_layer(model: nn.Module, layer: nn.Linear, name: str, codes: Tensor, scale: Tensor) -> None:
    """Put a RoundedLinear in the place of the layer, which has this name."""
    model.set_submodule(name, RoundedLinear(layer, codes, scale).train(layer.training))


def encode_groups(
    model: nn.Module, group_size: int, largest_code: int, pack: Callable[[Tensor], Tensor], embeddings: Embeddings
) -> dict[str, Tensor]:
    """Return the tensors to store: packed codes and scales of the linear layers without the head, and of the embeddings
    unless they stay bfloat16; all else bfloat16.

    A RoundedLinear keeps its codes; any other weight is rounded to nearest.
    """
    tensors = stored_in(model, "bfloat16")
    for name, layer in linear_layers(model, skip=HEAD_MODULES).items():
        del tensors[f"{name}.weight"]
        if isinstance(layer, RoundedLinear):
            codes, scale = layer.codes, layer.scale
        else:
            codes, scale = quantize_groups(layer.weight.detach(), group_size, largest_code)
        tensors[name + CODES], tensors[name + SCALE] = pack(codes), scale.bfloat16()
    if embeddings != "bfloat16":
        for name, table in tables(model).items():
            if tensors.pop(f"{name}.weight", None) is None:
                continue  # tied to a tensor that has an entry already
            codes, scale = quantize_groups(table.weight.detach(), group_size, LARGEST_CODES[embeddings])
            tensors[name + CODES] = int4_linear.pack(codes) if embeddings == "int4" else codes
            tensors[name + SCALE] = scale.bfloat16()
    return tensors


def tables(model: nn.Module) -> dict[str, nn.Embedding]:
    """Return the embedding tables by name, each once."""
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Embedding)}


def load_groups(skeleton: nn.Module, tensors: dict[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Put the float tensors and the dequantized embeddings in their places; return (packed codes, scale) of each linear
    layer that has them."""
    coded, floats = split_codes(tensors)
    for name, table in tables(skeleton).items():
        if name in coded:
            codes, scale = coded.pop(name)
            # two 4-bit codes lie in a byte without sign
            unpacked = int4_linear.unpack(codes) if codes.dtype == torch.uint8 else codes
            floats[f"{name}.weight"] = dequantize_groups(unpacked, scale, table.embedding_dim)
    load_floats(skeleton, floats)
    return coded
