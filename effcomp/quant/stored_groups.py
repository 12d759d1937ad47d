"""Codes that another program chose, in an artifact: stored exactly, and multiplied by the kernels of quant=int4.

Imported where a model is encoded or decoded: it needs PyTorch.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from effcomp.quant.fused_linear import ByGroup
from effcomp.quant.grouped_tensors import ZERO_POINT, Packed
from effcomp.quant.int4_linear import Int4Linear
from effcomp.quant.packed import pack
from effcomp.quant.tensors import CODES, SCALE, cast, linear_layers, load_floats, split_codes
from effcomp.quant.word_layouts import LAYOUTS, in_order

ORDER = ".order"
"""Ending of the name under which the order of a layer's inputs is stored."""
KERNEL_GROUPS = (32, 64, 128, 256)
"""Inputs of a group that the CPU's kernel for 4 bits takes."""
FUSED_BITS = (2, 4)
"""Bits of the codes that a GPU's kernels take."""


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
    """Build the model in bfloat16: layers of 4 bits on PyTorch's kernel for a CPU, others dequantized."""
    for name, layer, one, order in stored_layers(skeleton, tensors):
        if one.bits == 4 and one.group_size in KERNEL_GROUPS:
            coded = one.unpacked()._replace(scale=one.scale.bfloat16())
            place(skeleton, name, Int4Linear(coded, layer.bias, layer.in_features), order)
        else:
            dequantize(layer, one, order)
    return skeleton


def load_fused_groups(skeleton: nn.Module, tensors: dict[str, Tensor]) -> nn.Module:
    """Build the model in bfloat16: layers of 2 or 4 bits dequantize in each call (`effcomp.quant.fused_linear`), others
    once."""
    for name, layer, one, order in stored_layers(skeleton, tensors):
        if one.bits in FUSED_BITS:
            place(skeleton, name, ByGroup(one, layer.bias, layer.in_features), order)
        else:
            dequantize(layer, one, order)
    return skeleton


def stored_layers(
    skeleton: nn.Module, tensors: dict[str, Tensor]
) -> Iterator[tuple[str, nn.Linear, Packed, Tensor | None]]:
    """Put the float tensors in their places, in bfloat16. Yield the name of each layer that has codes, the layer, its
    codes, and the order of its inputs."""
    coded, floats = split_codes(tensors)
    orders, zero_points = (
        {name.removesuffix(ending): floats.pop(name) for name in list(floats) if name.endswith(ending)}
        for ending in (ORDER, ZERO_POINT)
    )
    load_floats(skeleton, floats)
    cast(skeleton, torch.bfloat16)
    layers = linear_layers(skeleton)
    for name, (codes, scale) in coded.items():
        one = Packed(codes, scale, zero_points.get(name), layers[name].in_features // scale.shape[1])
        yield name, layers[name], one, orders.get(name)


def place(skeleton: nn.Module, name: str, linear: nn.Module, order: Tensor | None) -> None:
    """Put a layer in the place of this name; its inputs are put in order first."""
    skeleton.set_submodule(name, linear if order is None else OrderedLinear(linear, order))


def dequantize(layer: nn.Linear, one: Packed, order: Tensor | None) -> None:
    """Give the layer the weight that the codes stand for."""
    weight = one.unpacked()._replace(scale=one.scale.float()).weight(layer.in_features)
    layer.weight = nn.Parameter(in_order(weight, order).bfloat16(), requires_grad=False)
