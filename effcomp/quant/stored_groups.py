"""Codes that another program chose, in an artifact: stored exactly, and multiplied by PyTorch's kernel for 4 bits.

Imported where a model is encoded or decoded: it needs PyTorch.
"""

from typing import Any

import torch
from torch import Tensor, nn

from effcomp.quant.grouped_tensors import ZERO_POINT, Packed
from effcomp.quant.int4_linear import Int4Linear
from effcomp.quant.packed import pack
from effcomp.quant.tensors import CODES, SCALE, cast, linear_layers, load_floats, split_codes
from effcomp.quant.word_layouts import LAYOUTS, in_order

ORDER = ".order"
"""Ending of the name under which the order of a layer's inputs is stored."""
KERNEL_GROUPS = (32, 64, 128, 256)
"""Inputs of a group that the kernel for 4 bits takes."""


class OrderedLinear(nn.Module):
    """Linear layer whose inputs are put in another order first."""

    order: Tensor

    def __init__(self, linear: nn.Module, order: Tensor) -> None:
        """Take order: (in,) int32, the input of each column."""
        super().__init__()
        self.linear = linear
        self.register_buffer("order", order)

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = self.linear(input.index_select(-1, self.order))
        return output


def in_own_layout(tensors: dict[str, Tensor], model: nn.Module, quantization: dict[str, Any]) -> dict[str, Tensor]:
    """Return a checkpoint's tensors with codes and zero points packed as effcomp's formats in groups store them.

    Scales keep their type; zero points that are all zero are left out.

    Args:
        model: the float model, its linear layers nn.Linear.
        quantization: quantization_config of the checkpoint.

    Raises:
        KeyError: a layer lacks a tensor.
        ValueError: its groups have different sizes.
    """
    left, layout = dict(tensors), LAYOUTS[quantization["quant_method"]]
    for name, layer in linear_layers(model).items():
        keys = [key for key in (layout.words, *layout.others) if f"{name}.{key}" in left]
        if not keys:
            continue
        coded, bits, order = layout.read(
            {key: left.pop(f"{name}.{key}") for key in keys}, quantization, layer.in_features
        )
        left |= {name + CODES: pack(coded.codes, bits), name + SCALE: coded.scale}
        if coded.zero_point.any():
            left[name + ZERO_POINT] = pack(coded.zero_point, bits)
        if order is not None:
            left[name + ORDER] = order
        if layer.bias is None and f"{name}.bias" in left and not left[f"{name}.bias"].any():
            del left[f"{name}.bias"]  # AutoGPTQ gave zeros to layers without one
    return left


def load_stored_groups(skeleton: nn.Module, tensors: dict[str, Tensor]) -> nn.Module:
    """Build the model in bfloat16: layers of 4 bits on PyTorch's kernel, others dequantized."""
    coded, floats = split_codes(tensors)
    orders, zero_points = (
        {name.removesuffix(ending): floats.pop(name) for name in list(floats) if name.endswith(ending)}
        for ending in (ORDER, ZERO_POINT)
    )
    load_floats(skeleton, floats)
    cast(skeleton, torch.bfloat16)
    layers = linear_layers(skeleton)
    for name, (codes, scale) in coded.items():
        layer, order = layers[name], orders.get(name)
        one = Packed(codes, scale, zero_points.get(name), layer.in_features // scale.shape[1])
        unpacked = one.unpacked()
        if one.bits == 4 and one.group_size in KERNEL_GROUPS:
            linear = Int4Linear(unpacked._replace(scale=scale.bfloat16()), layer.bias, layer.in_features)
            skeleton.set_submodule(name, linear if order is None else OrderedLinear(linear, order))
        else:
            weight = in_order(unpacked._replace(scale=scale.float()).weight(layer.in_features), order)
            layer.weight = nn.Parameter(weight.bfloat16(), requires_grad=False)
    return skeleton
