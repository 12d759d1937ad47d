"""Wanda: zeros where weight times input is small, row by row, each layer after the pruned ones before it."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from effcomp.core.errors import UserError
from effcomp.finetune.base import TrainingSetup
from effcomp.models.depth import layers_of
from effcomp.models.heads import Head
from effcomp.models.linear import matrix
from effcomp.prune.input_norms import norms_by_block, single_batches
from effcomp.prune.sparse import matrices
from effcomp.prune.wanda import Wanda
from tests.conftest import compose_parts
from tests.prune.test_structured import CLASSIFIER, setup_for

CASES: list[tuple[str, Head]] = [
    ("tiny_bert", CLASSIFIER),
    ("tiny_gpt2", "causal_lm"),
    ("tiny_llama", "causal_lm"),
    ("tiny_bitnet", "causal_lm"),
]


def wanda(*settings: str) -> Wanda:
    prune = compose_parts("prune=wanda", "prune.samples=20", *settings).prune
    assert isinstance(prune, Wanda)
    return prune


def read_by(setup: TrainingSetup, layer: nn.Module) -> Tensor:
    """All that a layer of the model reads on the examples, (tokens, inputs)."""
    seen: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].flatten(0, -2)))
    with torch.no_grad():
        for batch in single_batches(setup, 20):
            setup.model(**{name: torch.from_numpy(ids) for name, ids in batch.items()})
    hook.remove()
    return torch.cat(seen)


@pytest.mark.parametrize(("fixture", "head"), CASES)
def test_each_output_loses_the_weights_of_the_smallest_products(
    fixture: str, head: Head, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    setup = setup_for(fixture, head, request, tmp_path)
    setup.model.eval()
    dense = deepcopy(setup.model)
    wanda("prune.ratio=0.25").apply(setup, 1.0)
    before, (first, _) = matrices(dense), layers_of(setup.model)
    inside = set(first.modules())
    for name, layer in matrices(setup.model).items():
        zero = matrix(layer) == 0
        assert (zero.sum(dim=1) == round(0.25 * zero.shape[1])).all()
        if layer in inside:  # it reads what the dense model computes
            scores = matrix(before[name]).abs() * read_by(replace(setup, model=dense), before[name]).norm(dim=0)
            largest_gone = scores.masked_fill(~zero, 0).max(dim=1).values
            assert (largest_gone <= 1.0001 * scores.masked_fill(zero, torch.inf).min(dim=1).values).all()


def test_a_layer_reads_what_the_pruned_ones_before_it_compute(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    setup = setup_for("tiny_llama", "causal_lm", request, tmp_path)
    setup.model.eval()
    walk = norms_by_block(setup.model, single_batches(setup, 20))
    layers = matrices(setup.model)
    for name in next(walk):
        matrix(layers[name])[:] = 0
    for name, norm in next(walk).items():
        if "q_proj" in name:
            assert torch.allclose(norm, read_by(setup, layers[name]).norm(dim=0), rtol=1e-4)


def test_two_of_four_keep_the_two_largest_products() -> None:
    weight = torch.tensor([[4.0, 3.0, 2.0, 1.0, 1.0, 1.0, 1.0, 9.0]])
    wanda("prune.pattern=2:4").zero(weight, weight * torch.tensor([1.0, 1, 9, 9, 1, 2, 3, 4]))
    assert weight.tolist() == [[0, 0, 2, 1, 0, 0, 1, 9]]


def test_inputs_of_different_size_are_told_apart_better_than_by_magnitude(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    errors = {}
    for name in ("wanda", "l1_unstructured"):
        setup = setup_for("tiny_llama", "causal_lm", request, tmp_path)
        layer = layers_of(setup.model)[0]
        with torch.no_grad():
            layer.input_layernorm.weight[:8] *= 20
        query, inputs = layer.self_attn.q_proj, read_by(setup, layer.self_attn.q_proj)
        expected = inputs @ query.weight.T
        settings = ["prune.samples=20"] if name == "wanda" else ["prune.scope=layer"]
        pruner = compose_parts(f"prune={name}", "prune.ratio=0.5", *settings).prune
        pruner.apply(setup, 0.5)
        errors[name] = float((inputs @ query.weight.T - expected).detach().norm())
    assert errors["wanda"] < 0.8 * errors["l1_unstructured"]


def test_what_does_not_go_together_is_refused() -> None:
    parts = compose_parts("prune=wanda", "prune.pattern=2:4", "prune.ratio=0.3")
    with pytest.raises(UserError, match=r"prune\.ratio=0\.3: prune\.pattern=2:4 takes half of the weights"):
        parts.prune.check(parts.model)
    parts = compose_parts("prune=wanda", "model.weights=random")
    with pytest.raises(UserError, match="prune=wanda needs a trained model"):
        parts.prune.check(parts.model)
