"""AWQ (Lin et al. 2023, "AWQ: Activation-aware Weight Quantization for LLM Compression and Acceleration").

Two steps for each transformer layer. First scale search (section 3.2): input channel i of a layer is multiplied by s_i
in the weights, and whatever makes the channel is divided by it, so that the float model stays the same and channels
with large inputs are rounded more finely. Then the range of each group is clipped for a small error of the outputs.

A scale needs a maker that can be divided: the norm before the layer, the value projection before the attention's
output, the up projection before the down projection. After post-layer normalization (BERT, DistilBERT) the norm's
output is also the residual stream, and between a feed-forward's layers stands a GELU: those layers are clipped only.
Stored input scales would serve them, but cost every call a product that other formats do not have.

The paper's search reads the activations and takes their mean magnitude; here the magnitude is the root mean square, and
each error is computed from second moments, which is the same sum for one layer's outputs. Imported where a model is
encoded: it needs PyTorch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from effcomp.core.batches import Batch
from effcomp.models.blocks import ARCHITECTURES, Units, layers_with_units
from effcomp.models.moments import Moments
from effcomp.quant.grid import Grid
from effcomp.quant.groups import Coded, in_groups, quantize_groups, replace_layer, round_groups
from effcomp.quant.rounding.inputs import check_finite, moments_by_block
from effcomp.quant.rounding.ranges import searched
from effcomp.quant.tensors import linear_layers

EXPONENTS = tuple(step / 20 for step in range(20))
"""Exponents of the inputs' magnitude that are tried for the scales; 0 leaves a layer as it is."""


@dataclass(frozen=True)
class Scaled:
    """Layers that read the same channels, and the parameters that make these channels."""

    layers: list[str]
    makers: list[Tensor]
    """Tensors with a row for each channel: a norm's weight and bias, or rows of a linear layer."""


def fit_codes(weight: Tensor, hessian: Tensor, grid: Grid) -> Coded:
    """Return the nearest codes at clipped ranges: those with the smallest squared error of the outputs that each group
    would cause alone.

    Args:
        weight: (out, in), finite.
        hessian: (in, in), sum of x x^T over the calibration tokens.
    """
    if not hessian.any():
        return quantize_groups(weight, grid)
    size = grid.group_size
    padded = nn.functional.pad(hessian.float(), (0, -len(hessian) % size) * 2)
    blocks = torch.stack([padded[at : at + size, at : at + size] for at in range(0, len(padded), size)])
    ranges = searched(weight, grid, lambda error: (torch.einsum("ogi,gij->ogj", error, blocks) * error).sum(-1))
    return round_groups(in_groups(weight, size), *ranges, grid)


def fit_scales(weights: Sequence[Tensor], hessian: Tensor, grids: Sequence[Grid]) -> Tensor:
    """Return the scale (in,) float32 of each input channel of these weights with the smallest squared error of their
    outputs.

    Args:
        weights: (out, in) each; they read the same inputs.
        hessian: (in, in), sum of x x^T over the calibration tokens.
    """
    moments = hessian.float()
    magnitude = moments.diagonal().sqrt()
    best, lowest = torch.ones_like(magnitude), torch.inf
    if not magnitude.any():
        return best
    magnitude = magnitude.clamp(min=float(magnitude.max()) * 1e-4)
    for exponent in EXPONENTS:
        scales = magnitude**exponent
        scales /= (scales.max() * scales.min()).sqrt()
        loss = 0.0
        for weight, grid in zip(weights, grids, strict=True):
            error = quantize_groups(weight * scales, grid).weight(weight.shape[1]) / scales - weight
            loss += float(((error @ moments) * error).sum())
        if loss < lowest:
            best, lowest = scales, loss
    return best


def scaled_layers(model: PreTrainedModel) -> Iterator[Scaled]:
    """Yield the layers of the model whose inputs can be scaled, with what makes the inputs."""
    if model.config.model_type not in ARCHITECTURES:
        return
    names = {module: name for name, module in model.named_modules()}
    for block, both in layers_with_units(model):
        for units in both:
            if units.norm_before is not None:
                norm = list(block.get_submodule(units.norm_before).parameters())
                yield Scaled([f"{names[block]}.{path}" for path in units.makers], [one.data for one in norm])
            if makers := makers_of_reader(block, units):
                yield Scaled([f"{names[block]}.{units.reader}"], makers)


def makers_of_reader(block: nn.Module, units: Units) -> list[Tensor]:
    """Return the parameters that make the inputs of the reader; none where they cannot be scaled: an activation stands
    between, or several heads share a channel (grouped-query attention)."""
    if units.norm is not None:
        return [one.data for one in block.get_submodule(units.norm).parameters()]
    maker, reader = block.get_submodule(units.makers[-1]), block.get_submodule(units.reader)
    assert isinstance(maker, nn.Linear)
    assert isinstance(reader, nn.Linear)
    if not units.linear or maker.out_features != units.fused * reader.in_features:
        return []
    rows = [maker.weight.data] + ([maker.bias.data] if maker.bias is not None else [])
    return [one[-reader.in_features :] for one in rows]


def round_awq(model: PreTrainedModel, grids: dict[str, Grid], samples: list[Batch]) -> None:
    """Replace the linear layers of these names by RoundedLinear, one transformer layer after another, and divide the
    parameters before them by the scales.

    Raises:
        UserError: the inputs of a layer are not finite.
    """
    scaled = list(scaled_layers(model))
    for moments in moments_by_block(model, samples):
        check_finite(moments, "awq")
        layers = linear_layers(model)
        for one in scaled:
            if one.layers[0] in moments:
                scale_layers(one, layers, grids, moments)
        for name, hessian in moments.items():
            replace_layer(model, name, fit_codes(layers[name].weight.detach(), hessian, grids[name]), grids[name])


def scale_layers(one: Scaled, layers: dict[str, nn.Linear], grids: dict[str, Grid], moments: Moments) -> None:
    """Scale the inputs of these layers in place; their moments become those of the scaled inputs."""
    weights = [layers[name].weight.data for name in one.layers]
    scales = fit_scales(weights, moments[one.layers[0]], [grids[name] for name in one.layers])
    for weight in weights:
        weight *= scales
    for maker in one.makers:
        maker /= scales if maker.ndim == 1 else scales[:, None]
    for name in one.layers:
        moments[name] = moments[name] / (scales[:, None] * scales)
