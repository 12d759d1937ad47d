"""Layers of GPTQ, AWQ and compressed-tensors checkpoints, whose codes lie in words of 32 bits.

The layouts are those that AutoGPTQ and GPTQModel, AutoAWQ (version gemm) and compressed-tensors (pack-quantized) write.
The first code of a word has its lowest bits. Imported where a model is checked or encoded: it needs PyTorch.
"""

from collections.abc import Callable
from math import ceil
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from effcomp.quant.groups import Coded
from effcomp.quant.quantization_config import weight_format

AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Output whose code has each place of AWQ's words."""


class StoredLayer(NamedTuple):
    """Weight of a linear layer: column i of the codes is input order[i]."""

    coded: Coded
    """Codes and zero points in [-2^(bits - 1), 2^(bits - 1)); the scale has its stored type."""
    bits: int
    order: Tensor | None
    """(in,) int32, of GPTQ's activation order; None: the inputs lie in their own order."""

    def weight(self) -> Tensor:
        """Return the (out, in) float32 weight."""
        return in_order(
            self.coded._replace(scale=self.coded.scale.float()).weight(self.coded.codes.shape[1]), self.order
        )


def in_order(weight: Tensor, order: Tensor | None) -> Tensor:
    """Return the weight with each column at its input."""
    return weight if order is None else torch.zeros_like(weight).index_copy(1, order.long(), weight)


def unpack_words(words: Tensor, bits: int) -> Tensor:
    """Return the (rows, 32 * words / bits) uint8 codes of (rows, words) int32; those of 3 bits cross words."""
    stored = np.ascontiguousarray(words.numpy().astype("<i4")).view(np.uint8)
    places = np.unpackbits(stored, axis=1, bitorder="little").reshape(len(stored), -1, bits)
    codes: Tensor = torch.from_numpy(places @ (1 << np.arange(bits)).astype(np.uint8))
    return codes


def signed(codes: Tensor, bits: int) -> Tensor:
    """Return uint8 codes less 2^(bits - 1), int8."""
    less: Tensor = codes.short() - 2 ** (bits - 1)
    return less.to(torch.int8)


def read_gptq(parts: dict[str, Tensor], quantization: dict[str, Any], inputs: int) -> StoredLayer:
    """Read qweight (in * bits / 32, out), qzeros (groups, out * bits / 32), scales (groups, out), g_idx (in,).

    Format gptq stores zero points less 1, gptq_v2 as they are.
    """
    bits = 32 * len(parts["qweight"]) // inputs
    zeros = unpack_words(parts["qzeros"], bits).T
    if weight_format(quantization) == "gptq":
        zeros = (zeros + 1) & (2**bits - 1)
    codes = unpack_words(parts["qweight"].T, bits)
    coded = Coded(signed(codes, bits), parts["scales"].T, signed(zeros, bits))
    return in_groups(coded, bits, parts.get("g_idx"))


def read_awq(parts: dict[str, Tensor], quantization: dict[str, Any], inputs: int) -> StoredLayer:
    """Read qweight (in, out / 8), qzeros (groups, out / 8), scales (groups, out); the places of a word are those of
    `AWQ_ORDER`."""
    places = torch.tensor(AWQ_ORDER).argsort()
    codes, zeros = (
        signed(unpack_words(parts[name], 4).unflatten(1, (-1, 8))[..., places].flatten(1).T, 4)
        for name in ("qweight", "qzeros")
    )
    return in_groups(Coded(codes, parts["scales"].T, zeros), 4, None)


def read_compressed_tensors(parts: dict[str, Tensor], quantization: dict[str, Any], inputs: int) -> StoredLayer:
    """Read weight_packed (out, ceil(in * bits / 32)) and weight_scale (out, groups); weight_zero_point, where there is
    one, (ceil(out * bits / 32), groups) int32 or (out, groups) int8; weight_g_idx (in,) of activation order."""
    words = parts["weight_packed"]
    outputs, bits = len(words), 4 if words.shape[1] == ceil(inputs / 8) else 8
    scale = parts["weight_scale"].reshape(-1, parts["weight_scale"].shape[-1]).expand(outputs, -1)
    zeros = parts.get("weight_zero_point")
    if zeros is None:
        zeros = torch.zeros_like(scale, dtype=torch.int8)
    elif zeros.dtype == torch.int32:
        zeros = signed(unpack_words(zeros.T, bits)[:, :outputs].T, bits)
    coded = Coded(signed(unpack_words(words, bits)[:, :inputs], bits), scale, zeros.to(torch.int8).expand_as(scale))
    return in_groups(coded, bits, parts.get("weight_g_idx"))


def in_groups(coded: Coded, bits: int, group_of: Tensor | None) -> StoredLayer:
    """Return the layer with the inputs of each group side by side.

    Args:
        group_of: (in,) group of each input, negative where none was set; None: groups of neighbours.

    Raises:
        ValueError: the groups have different sizes.
    """
    inputs, groups = coded.codes.shape[1], coded.scale.shape[1]
    coded = Coded(*(part.contiguous() for part in coded))
    if inputs % groups:
        raise ValueError(f"{inputs} inputs in {groups} groups")
    neighbours = torch.arange(inputs) // (inputs // groups)
    if group_of is None or bool((group_of < 0).any()) or torch.equal(group_of.long(), neighbours):
        return StoredLayer(coded, bits, None)
    order = group_of.long().argsort(stable=True)
    if not torch.equal(group_of.long()[order], neighbours):
        raise ValueError(f"groups of different sizes among {inputs} inputs")
    return StoredLayer(coded._replace(codes=coded.codes[:, order]), bits, order.int())


class Layout(NamedTuple):
    """Places of a layer's codes in a checkpoint."""

    words: str
    """Name of the tensor of the codes."""
    others: tuple[str, ...]
    """Names of the layer's other tensors, without the bias."""
    read: Callable[[dict[str, Tensor], dict[str, Any], int], StoredLayer]
    """read(parts, quantization, inputs): parts by these names; the config's quantization; inputs of the layer."""
    shapes: Callable[[int, int], list[tuple[int, ...]]]
    """shapes(outputs, inputs): the shapes that the codes can have."""


LAYOUTS = {
    "gptq": Layout(
        "qweight",
        ("qzeros", "scales", "g_idx"),
        read_gptq,
        lambda outputs, inputs: [(inputs * bits // 32, outputs) for bits in (2, 3, 4, 8)],
    ),
    "awq": Layout("qweight", ("qzeros", "scales"), read_awq, lambda outputs, inputs: [(inputs, outputs // 8)]),
    "compressed-tensors": Layout(
        "weight_packed",
        ("weight_scale", "weight_zero_point", "weight_g_idx", "weight_shape"),
        read_compressed_tensors,
        lambda outputs, inputs: [(outputs, ceil(inputs * bits / 32)) for bits in (4, 8)],
    ),
}
"""Layouts by the quant_method of transformers."""
