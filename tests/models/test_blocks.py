"""Heads and neurons are really gone, what is left computes the same, and the folder loads again."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from effcomp.models.base import load_checkpoint
from effcomp.models.blocks import Units, counts, dense_counts, layers_with_units, shrink
from effcomp.models.heads import Head
from effcomp.models.linear import matrix

SHAPES: list[tuple[str, Head]] = [
    ("tiny_bert", "sequence_classification"),
    ("tiny_bert", "masked_lm"),
    ("tiny_distilbert", "sequence_classification"),
    ("tiny_distilbert", "masked_lm"),
    ("tiny_gpt2", "sequence_classification"),
    ("tiny_gpt2", "causal_lm"),
    ("tiny_gptneo", "sequence_classification"),
    ("tiny_gptneo", "causal_lm"),
    ("tiny_llama", "sequence_classification"),
    ("tiny_llama", "causal_lm"),
    ("tiny_bitnet", "sequence_classification"),
    ("tiny_bitnet", "causal_lm"),
]
DECODERS = [fixture for fixture, head in SHAPES if head == "causal_lm"]
HEADS = ([1], [0, 1])
NEURONS = (range(5, 69), [*range(16), *range(48, 64)])
KEPT = list(zip(HEADS, NEURONS, strict=True))
"""Heads and neurons that are kept of two layers with two heads and at least 128 neurons: [[1, 64], [2, 32]]."""


@pytest.fixture
def model(fixture: str, head: Head, request: pytest.FixtureRequest) -> PreTrainedModel:
    torch.manual_seed(0)
    found, _ = load_checkpoint(request.getfixturevalue(fixture), head)
    with torch.no_grad():  # the biases and the head of a new model are zero: these are to be seen
        for parameter in found.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    found.config.pad_token_id = 0  # a decoder classifies by the last token that is not this one
    return found.eval()


def logits(model: PreTrainedModel) -> Tensor:
    ids = torch.arange(5, 45).reshape(2, 20)
    with torch.inference_mode():
        return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits


def silence(layer: nn.Module, units: Units, total: int, kept: list[int] | range) -> None:
    """Make the other units say 0: the weights and the biases of what makes them, the last of q, k, v alone."""
    gone = [unit for unit in range(total) if unit not in kept]
    maker = layer.get_submodule(units.makers[-1])
    with torch.no_grad():
        matrix(maker).unflatten(0, (units.fused, total, -1))[-1, gone] = 0
        if maker.bias is not None:
            maker.bias.unflatten(0, (units.fused, total, -1))[-1, gone] = 0


@pytest.mark.parametrize(("fixture", "head"), SHAPES)
def test_it_says_what_the_dense_model_says_with_those_units_at_zero(model: PreTrainedModel, fixture: str) -> None:
    for layer in model.modules():
        if hasattr(layer, "for_inference"):  # its ternary scale is the mean of all masters: those at zero count there
            layer.__class__ = nn.Linear
    before = logits(model)
    dense = dense_counts(model.config)
    for (layer, both), totals, kept in zip(layers_with_units(model), dense, KEPT, strict=True):
        for units, total, stay in zip(both, totals, kept, strict=True):
            silence(layer, units, total, stay)
    expected = logits(model)
    shrink(model, KEPT)
    assert torch.allclose(logits(model), expected, atol=1e-4)
    assert not torch.allclose(before, expected, atol=1e-2), "those units said something"


@pytest.mark.parametrize(("fixture", "head"), SHAPES)
def test_the_folder_loads_again_and_says_the_same(model: PreTrainedModel, head: Head, tmp_path: Path) -> None:
    name = type(model).__name__
    shrink(model, KEPT)
    expected = logits(model)
    model.save_pretrained(tmp_path)
    loaded, _ = load_checkpoint(tmp_path, head)
    assert torch.equal(logits(loaded.eval()), expected)
    assert loaded.config.architectures == [name]
    assert counts(loaded.config) == [[1, 64], [2, 32]]


@pytest.mark.parametrize(("fixture", "head"), [shape for shape in SHAPES if shape[1] == "causal_lm"])
def test_generation_with_a_cache_is_that_without(model: PreTrainedModel) -> None:
    shrink(model, KEPT)
    ids = torch.arange(5, 13)[None]
    said = [
        model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=8,
            min_new_tokens=8,
            do_sample=False,
            use_cache=use_cache,
            pad_token_id=0,
        )
        for use_cache in (True, False)
    ]
    assert torch.equal(said[0], said[1])
