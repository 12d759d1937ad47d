"""Layers that read the same input are computed once, and say what they said alone."""

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from effcomp.models.base import load_checkpoint
from effcomp.quant.stacked import same_input, stack

TEXT = torch.tensor([[5, 6, 7, 8]])


def stacked(model: PreTrainedModel, calls: list[torch.Size]) -> None:
    """Every group as one nn.Linear, which notes its calls."""
    for names in list(same_input(model)):
        layers = [model.get_submodule(name) for name in names]
        sizes = [layer.out_features for layer in layers]
        whole = nn.Linear(layers[0].in_features, sum(sizes), bias=layers[0].bias is not None)
        whole.weight = nn.Parameter(torch.cat([layer.weight for layer in layers]))
        if whole.bias is not None:
            whole.bias = nn.Parameter(torch.cat([layer.bias for layer in layers]))
        whole.register_forward_hook(lambda _, __, output: calls.append(output.shape))
        stack(model, names, whole, sizes)


@pytest.mark.parametrize(("folder", "groups"), [("tiny_distilbert", 1), ("tiny_llama", 2), ("tiny_gpt2", 0)])
def test_a_model_says_the_same_with_one_product_for_each_input(
    folder: str, groups: int, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(folder)
    model = load_checkpoint(path, "sequence_classification")[0].eval()
    layers = model.config.num_hidden_layers
    with torch.inference_mode():
        expected = model(TEXT).logits
        calls: list[torch.Size] = []
        stacked(model, calls)
        found = [model(TEXT).logits for _ in range(2)]
    assert len(calls) == 2 * groups * layers
    for logits in found:
        assert torch.allclose(expected, logits, atol=1e-5)


def test_a_layer_called_before_the_first_is_an_error(tiny_distilbert: Path) -> None:
    model = load_checkpoint(tiny_distilbert, "sequence_classification")[0]
    names = next(same_input(model))
    stacked(model, [])
    with pytest.raises(IndexError):
        model.get_submodule(names[1])(torch.zeros(1, 1, model.config.dim))
