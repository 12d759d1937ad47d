"""Layers that read the same input are computed once, and say what they said alone."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from effcomp.models.base import load_checkpoint
from effcomp.models.linear import unify_linear
from effcomp.quant.fused_linear import ByGroup, ByRow, FusedLinear, placed
from effcomp.quant.grid import Grid
from effcomp.quant.grouped_tensors import Packed
from effcomp.quant.groups import quantize_groups
from effcomp.quant.packed import pack
from effcomp.quant.stacked import Stack, same_input, stack_layers
from effcomp.quant.tensors import linear_layers

TEXT = torch.tensor([[5, 6, 7, 8]])


def stacked(model: nn.Module, calls: list[torch.Size]) -> None:
    """Stack the layers, and note the calls of each stack."""
    assert isinstance(model, PreTrainedModel)
    stack_layers(model)
    for module in model.modules():
        if isinstance(module, Stack):
            module.whole.register_forward_hook(lambda _, __, output: calls.append(output.shape))


def by_row(layer: nn.Linear) -> ByRow:
    scale = layer.weight.detach().abs().amax(dim=1, keepdim=True) / 127
    return ByRow((layer.weight.detach() / scale).round().to(torch.int8), scale, layer.bias)


def by_group(layer: nn.Linear) -> ByGroup:
    coded = quantize_groups(layer.weight.detach(), Grid(16, 4, zero_point=True))
    packed = Packed(pack(coded.codes, 4), coded.scale, pack(coded.zero_point, 4), 16)
    return ByGroup(packed, layer.bias, layer.in_features)


@pytest.mark.parametrize("coded", [None, by_row, by_group])
@pytest.mark.parametrize(("folder", "groups"), [("tiny_distilbert", 1), ("tiny_llama", 2), ("tiny_gpt2", 0)])
def test_a_model_says_the_same_with_one_product_for_each_input(
    folder: str, groups: int, coded: Callable[[nn.Linear], FusedLinear] | None, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(folder)
    checkpoint = load_checkpoint(path, "sequence_classification")[0].eval()
    model: nn.Module = checkpoint
    blocks = checkpoint.config.num_hidden_layers
    if coded is not None:
        unify_linear(model)
        model = placed(model, {name: coded(layer) for name, layer in linear_layers(model).items()})
    with torch.inference_mode():
        expected = model(TEXT).logits
        calls: list[torch.Size] = []
        stacked(model, calls)
        found = [model(TEXT).logits for _ in range(2)]
    assert len(calls) == 2 * groups * blocks
    for logits in found:
        assert torch.allclose(expected, logits, atol=1e-5 if coded is None else 0.02)


def test_a_layer_called_before_the_first_is_an_error(tiny_distilbert: Path) -> None:
    model = load_checkpoint(tiny_distilbert, "sequence_classification")[0]
    names = next(same_input(model))
    stacked(model, [])
    with pytest.raises(IndexError):
        model.get_submodule(names[1])(torch.zeros(1, 1, model.config.dim))
