"""Stored tensors of the formats in groups: encoding a model, and reading its codes back.

Imported where a model is encoded or decoded: it needs PyTorch.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from effcomp.quant.grid import Embeddings, Grid
from effcomp.quant.groups import Coded, RoundedLinear, quantize_groups
from effcomp.quant.packed import pack, unpack
from effcomp.quant.tensors import (
    CODES,
    SCALE,
    body_layers,
    cast,
    linear_layers,
    load_floats,
    split_codes,
    stored_in,
    tables,
)

ZERO_POINT = ".zero_point"
"""Ending of the name under which zero points are stored, packed as the codes are."""
EMBEDDING_BITS = {"int8": 8, "int4": 4}


@dataclass(frozen=True)
class Packed:
    """Codes of one weight as they lie in the file."""

    codes: Tensor
    """(out, ceil(bits * columns / 8)) uint8."""
    scale: Tensor
    """(out, groups) bfloat16."""
    zero_point: Tensor | None
    """(out, ceil(bits * groups / 8)) uint8; None for a symmetric grid."""
    group_size: int

    @property
    def bits(self) -> int:
        return 8 * self.codes.shape[1] // (self.scale.shape[1] * self.group_size)

    def unpacked(self) -> Coded:
        groups = self.scale.shape[1]
        if self.zero_point is None:
            zero_point = torch.zeros_like(self.scale, dtype=torch.int8)
        else:
            zero_point = unpack(self.zero_point, groups, self.bits)
        return Coded(unpack(self.codes, groups * self.group_size, self.bits), self.scale, zero_point)


def encode_groups(model: nn.Module, grid: Grid, embeddings: Embeddings) -> dict[str, Tensor]:
    """Return the tensors to store: packed codes and scales of the linear layers without the head, and of the embeddings
    unless they stay bfloat16; all else bfloat16.

    A RoundedLinear keeps its codes and its grid; any other weight is rounded to nearest on this grid.
    """
    tensors = stored_in(model, "bfloat16")
    for name, layer in body_layers(model).items():
        del tensors[f"{name}.weight"]
        if isinstance(layer, RoundedLinear):
            tensors |= packed_tensors(name, layer.coded, layer.grid)
        else:
            tensors |= packed_tensors(name, quantize_groups(layer.weight.detach(), grid), grid)
    if embeddings != "bfloat16":
        for name, table in tables(model).items():
            if tensors.pop(f"{name}.weight", None) is not None:  # not tied to a tensor that has an entry already
                of_table = table_grid(table.embedding_dim, grid.group_size, embeddings)
                tensors |= packed_tensors(name, quantize_groups(table.weight.detach(), of_table), of_table)
    return tensors


def packed_tensors(name: str, coded: Coded, grid: Grid) -> dict[str, Tensor]:
    """Return the tensors that an artifact holds of a weight on this grid."""
    found = {name + CODES: pack(coded.codes, grid.bits), name + SCALE: coded.scale.bfloat16()}
    return found | ({name + ZERO_POINT: pack(coded.zero_point, grid.bits)} if grid.zero_point else {})


def table_grid(columns: int, group_size: int, embeddings: Embeddings) -> Grid:
    """Return the grid of the codes of an embedding table: in 8 bits a scale for each row, otherwise for each group."""
    return Grid(columns if embeddings == "int8" else group_size, EMBEDDING_BITS[embeddings])


def round_tables(model: nn.Module, group_size: int, embeddings: Embeddings) -> None:
    """Give the embedding tables the weights that their codes will stand for, in place, so that layers are fitted to
    what they will read."""
    for table in tables(model).values():
        grid = table_grid(table.embedding_dim, group_size, embeddings)
        table.weight.data.copy_(quantize_groups(table.weight.detach(), grid).weight(table.embedding_dim))


def load_groups(skeleton: nn.Module, tensors: dict[str, Tensor], group_size: int) -> dict[str, Packed]:
    """Put the float tensors and the dequantized embeddings in their places; return the codes of each linear layer that
    has them."""
    coded, floats = split_codes(tensors)
    zero_points = {name: floats.pop(name) for name in list(floats) if name.endswith(ZERO_POINT)}
    packed = {
        name: Packed(codes, scale, zero_points.get(name + ZERO_POINT), group_size)
        for name, (codes, scale) in coded.items()
    }
    for name, table in tables(skeleton).items():
        if name in packed:
            one = packed.pop(name)
            if one.scale.shape[1] == 1 and one.codes.shape[1] >= table.embedding_dim:  # int8, a scale for each row
                one = replace(one, group_size=one.codes.shape[1])
            floats[f"{name}.weight"] = one.unpacked().weight(table.embedding_dim)
    load_floats(skeleton, floats)
    return packed


def load_dequantized(skeleton: nn.Module, tensors: dict[str, Tensor], group_size: int) -> nn.Module:
    """Return the model in bfloat16, its weights dequantized from their codes."""
    packed, layers = load_groups(skeleton, tensors, group_size), linear_layers(skeleton)
    weights = {f"{name}.weight": one.unpacked().weight(layers[name].in_features) for name, one in packed.items()}
    load_floats(skeleton, weights)
    return cast(skeleton, torch.bfloat16)
