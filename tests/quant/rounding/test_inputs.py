"""Moments of the inputs of linear layers: those of a whole forward pass, and of what was rounded before."""

from pathlib import Path

import pytest
import torch
from torch import nn

from effcomp.core.batches import Batch
from effcomp.models.base import load_checkpoint
from effcomp.models.heads import Head
from effcomp.models.linear import unify_linear
from effcomp.quant.rounding.inputs import moments_by_block
from effcomp.quant.tensors import body_layers
from tests.architectures import write_model

TEXTS = ["a warm and funny film", "dull", "every scene is a chore from start to finish"]
MODELS: list[tuple[str, Head, int]] = [
    ("bert", "sequence_classification", 3),  # two transformer layers, and the pooler
    ("distilbert", "sequence_classification", 2),
    ("albert", "sequence_classification", 1),  # one layer that is called twice, of an architecture that is not known
    ("gpt2", "causal_lm", 2),
    ("gpt_neo", "causal_lm", 2),
    ("llama", "causal_lm", 2),
]


def loaded(model_type: str, head: Head, vocabulary: Path, folder: Path) -> "tuple[nn.Module, list[Batch]]":
    write_model(model_type, head, vocabulary, folder)
    model, tokenizer = load_checkpoint(folder, head)
    unify_linear(model.eval())
    columns = ("input_ids", "attention_mask")
    return model, [{name: tokenizer(text, return_tensors="np")[name] for name in columns} for text in TEXTS]


def expected(model: nn.Module, samples: list[Batch]) -> dict[str, torch.Tensor]:
    """The moments, of whole forward passes."""
    found: dict[str, torch.Tensor] = {}

    def add(name: str, x: torch.Tensor) -> None:
        tokens = x.reshape(-1, x.shape[-1]).double()
        found[name] = found.get(name, 0) + tokens.T @ tokens

    for name, layer in body_layers(model).items():
        layer.register_forward_pre_hook(lambda _, inputs, name=name: add(name, inputs[0]))
    with torch.no_grad():
        for batch in samples:
            model(**{name: torch.from_numpy(ids) for name, ids in batch.items()})
    return found


@pytest.mark.parametrize(("model_type", "head", "count"), MODELS)
def test_moments_are_those_of_whole_forward_passes(
    model_type: str, head: Head, count: int, tiny_bert: Path, tiny_gpt2: Path, tmp_path: Path
) -> None:
    model, samples = loaded(model_type, head, tiny_gpt2 if head == "causal_lm" else tiny_bert, tmp_path)
    stages = list(moments_by_block(model, samples))
    assert len(stages) == count
    got = {name: sums for stage in stages for name, sums in stage.items()}
    right = expected(model, samples)
    assert got.keys() == right.keys()
    for name, sums in got.items():
        torch.testing.assert_close(sums, right[name], rtol=1e-4, atol=1e-4 * float(right[name].abs().max()))


@pytest.mark.parametrize(("model_type", "head", "count"), MODELS)
def test_later_layers_read_what_replaced_ones_compute(
    model_type: str, head: Head, count: int, tiny_bert: Path, tiny_gpt2: Path, tmp_path: Path
) -> None:
    model, samples = loaded(model_type, head, tiny_gpt2 if head == "causal_lm" else tiny_bert, tmp_path)
    last: dict[str, torch.Tensor] = {}
    for moments in moments_by_block(model, samples):
        last = moments
        if len(moments) > 1 and count > 1:
            for name in moments:
                model.get_submodule(name).weight.data *= 0.5
    if model_type in ("bert",):  # nothing reads the pooler but the head
        right = expected(model, samples)
        torch.testing.assert_close(last["bert.pooler.dense"], right["bert.pooler.dense"], rtol=1e-4, atol=1e-4)
    assert "forward" not in vars(model.get_submodule(next(iter(last)).rsplit(".", 2)[0])), "the model is as it was"
