"""Pruning to a budget: the target holds, and what the loss needs least for its cost has left."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from effcomp.core.errors import UserError
from effcomp.models.base import load_checkpoint
from effcomp.models.blocks import counts, dense_counts, layers_with_units
from effcomp.models.costs import Costs, counted
from effcomp.models.depth import layers_of, set_layers
from effcomp.models.heads import Head
from effcomp.models.linear import matrix
from effcomp.prune.budget import Budget
from effcomp.prune.knapsack import Changes, best_shapes, changes
from effcomp.prune.layer_importance import loss_changes, ready
from effcomp.record import label
from tests.conftest import compose_parts
from tests.prune.test_structured import CASES, CLASSIFIER, setup_for

COSTS = Costs(outside=2.0, layer=3.0, heads=[0.0, 1.0, 1.5], neurons=[0.0, 0.5, 4.0, 4.5], block=2)
"""Costs that grow unevenly, as times do."""


def test_a_run_is_named_by_its_target() -> None:
    config = compose_parts("prune=budget", "prune.target=parameters:0.4").config
    assert label(config) == "minilm-rotten_tomatoes-none-budget-parameters:0.4"


def budget(*settings: str) -> Budget:
    prune = compose_parts("prune=budget", "prune.samples=20", *settings).prune
    assert isinstance(prune, Budget)
    return prune


def count(model: PreTrainedModel, quantity: str) -> int:
    """Count what a target counts, from the tensors that are there."""
    if quantity == "parameters":
        return sum(one.numel() for one in model.base_model.parameters())
    inside = {id(module) for layer in layers_of(model) for module in layer.modules()}
    matrices = [one for one in model.modules() if id(one) in inside and isinstance(one, nn.Linear | Conv1D)]
    return sum(matrix(one).numel() for one in matrices)


@pytest.mark.parametrize(("fixture", "head"), CASES)
@pytest.mark.parametrize("target", ["operations:0.6", "parameters:0.8", "operations:0.3"])
def test_the_target_holds_and_the_folder_loads(
    fixture: str, head: Head, target: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    setup, (quantity, _, share) = setup_for(fixture, head, request, tmp_path), target.partition(":")
    before, prune = count(setup.model, quantity), budget(f"prune.target={target}")
    counting = counted(setup.model, quantity, 64)
    assert counting.total(counts(setup.model.config)) == before
    prune.check_config(setup.model.config)
    setup, _, _ = prune.prune(setup, tmp_path)
    after, unit = count(setup.model, quantity), max(counting.heads[1], counting.neurons[1])
    assert after <= float(share) * before, "no more than the target"
    assert after == pytest.approx(counting.total(counts(setup.model.config)))
    if len(layers_of(setup.model)) == 2:
        assert after > float(share) * before - unit - 1e-3 * before, "nor much less"
    setup.model.eval().save_pretrained(tmp_path / "pruned")
    ids = torch.arange(6, 14)[None]
    with torch.no_grad():
        loaded, _ = load_checkpoint(tmp_path / "pruned", head)
        assert torch.allclose(loaded.eval()(input_ids=ids).logits, setup.model(input_ids=ids).logits, atol=1e-5)


def test_what_changes_nothing_leaves_first_so_that_layers_differ(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    setup = setup_for("tiny_llama", CLASSIFIER, request, tmp_path)
    (layer, both), *_ = layers_with_units(setup.model)
    with torch.no_grad():  # nothing reads one of the first layer's two heads, and half of its neurons
        for units, total in zip(both, dense_counts(setup.model.config)[0], strict=True):
            matrix(layer.get_submodule(units.reader)).unflatten(1, (total, -1))[:, : total // 2] = 0
    ids = torch.arange(6, 14)[None]
    with torch.no_grad():
        expected = setup.model.eval()(input_ids=ids).logits
    budget("prune.target=operations:0.8").apply(setup, 1.0)
    assert counts(setup.model.config) == [[1, 64], [2, 128]]
    with torch.no_grad():
        assert torch.allclose(setup.model.eval()(input_ids=ids).logits, expected, atol=1e-5)


def test_a_layer_that_changes_nothing_leaves_whole(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    setup = setup_for("tiny_llama", CLASSIFIER, request, tmp_path)
    (layer, both), *_ = layers_with_units(setup.model)
    with torch.no_grad():
        for units in both:
            matrix(layer.get_submodule(units.reader))[:] = 0
    ids = torch.arange(6, 14)[None]
    with torch.no_grad():
        expected = setup.model.eval()(input_ids=ids).logits
    budget("prune.target=operations:0.5").apply(setup, 1.0)
    assert counts(setup.model.config) == [[2, 128]]
    with torch.no_grad():
        assert torch.allclose(setup.model.eval()(input_ids=ids).logits, expected, atol=1e-5)


def test_steps_lead_to_the_same_target(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    setup = setup_for("tiny_bert", CLASSIFIER, request, tmp_path)
    before, prune = count(setup.model, "parameters"), budget("prune.target=parameters:0.6", "prune.steps=3")
    sizes = []
    for ratio in prune.ratios:
        prune.model_copy(update={"target": f"parameters:{0.6 * before}"}).apply(setup, ratio)
        sizes.append(count(setup.model, "parameters"))
    assert before > sizes[0] >= sizes[1] >= sizes[2]
    assert sizes[2] <= 0.6 * before
    assert [0.6 + 0.4 * (1 - i / 3) ** 3 for i in (1, 2)] == pytest.approx(
        [1 - 0.4 * prune.ratios[0], 1 - 0.4 * (1 - (1 - prune.ratios[0]) * (1 - prune.ratios[1]))]
    )


@pytest.mark.parametrize("target", ["latency_ms:10.2", "speedup:2"])
def test_measured_costs_decide(target: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    setup = setup_for("tiny_llama", CLASSIFIER, request, tmp_path)
    unit = 1.0 if target.startswith("latency") else 1 / 20.4
    dear_heads = Costs(2 * unit, 3 * unit, [0.0, 5 * unit], [0.0, 0.1 * unit], 64)
    prune = budget(f"prune.target={target}")
    prune.check_costs(setup.model.config, dear_heads)
    setup, _, _ = prune.prune(replace(setup, costs=dear_heads), tmp_path)
    assert dear_heads.total(counts(setup.model.config)) <= 10.2 * unit
    assert all(heads == 1 for heads, _ in counts(setup.model.config)) or len(layers_of(setup.model)) == 1


@pytest.mark.parametrize("limit", [5.0, 6.0, 9.3, 11.0, 14.5, 19.9, 20.0, 1e9])
def test_the_best_of_all_shapes_is_found(limit: float) -> None:
    layers = [
        Changes([5.0, 2.0, 0.0], [8.0, 7.5, 1.0, 0.0], whole=9.0),
        Changes([0.5, 0.3, 0.0], [6.0, 2.0, 1.9, 0.0], whole=4.0),
    ]
    shapes = [(heads, neurons) for heads in (1, 2, 3) for neurons in (2, 4, 6, 8)]

    def change(one: Changes, shape: tuple[int, int] | None) -> float:
        return one.whole if shape is None else one.heads[shape[0] - 1] + one.neurons[shape[1] // 2 - 1]

    possible = [
        sum(map(change, layers, both))
        for both in product(shapes, [*shapes, None])  # the first layer's removal changes more
        if COSTS.total(filter(None, both)) <= limit
    ]
    found = best_shapes(layers, COSTS, limit)
    assert COSTS.total(filter(None, found)) <= limit
    assert sum(map(change, layers, found)) == pytest.approx(min(possible), abs=0.2)


def test_the_least_important_units_leave_first() -> None:
    found = changes([torch.tensor([8.0, 5.0, 9.0]), torch.tensor([1.0, 6.0, 2.0, 7.0])], 20.0, 2)
    assert found.heads == pytest.approx([13.0, 5.0, 0.0])
    assert found.neurons == pytest.approx([5.0**0.5, 0.0]), "the neurons 0 and 2 leave together"


@pytest.mark.parametrize(
    ("fixture", "head"), [("tiny_bert", CLASSIFIER), ("tiny_bert", "masked_lm"), ("tiny_llama", "causal_lm")]
)
def test_changes_of_layers_are_those_of_the_examples_losses(
    fixture: str, head: Head, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    setup = setup_for(fixture, head, request, tmp_path)
    found = loss_changes(setup, 6)
    model, batches = ready(setup, 6)
    layers, losses = list(layers_of(model)), {}
    with torch.no_grad():
        for gone in (None, 0, 1):
            set_layers(model, [layer for index, layer in enumerate(layers) if index != gone])
            rows = [
                {name: values[row : row + 1] for name, values in batch.items()}
                for batch in batches
                for row in range(len(batch["input_ids"]))
            ]
            losses[gone] = torch.stack([model(**row).loss for row in rows])
    assert found == pytest.approx([float((losses[gone] - losses[None]).abs().mean()) for gone in (0, 1)], rel=1e-3)


@pytest.mark.parametrize(
    ("target", "fix"),
    [
        ("operations:0.01", r"the smallest share possible is 0\.\d\d\d"),
        ("parameters:0.01", r"the smallest share possible is 0\.\d\d\d"),
        ("parameters:40", r"the smallest possible is \d\d\d+"),
    ],
)
def test_a_target_that_cannot_be_reached_is_refused(target: str, fix: str, tiny_bert: Path) -> None:
    config = load_checkpoint(tiny_bert, CLASSIFIER)[0].config
    with pytest.raises(UserError, match=rf"prune.target={target} is not reached with one head and 64 .*; {fix}"):
        budget(f"prune.target={target}").check_config(config)


@pytest.mark.parametrize(
    ("target", "fix"), [("speedup:5.1", r"the largest possible is 5\.00"), ("latency_ms:0.1", r"possible is 0\.200")]
)
def test_a_measured_target_that_cannot_be_reached_is_refused(target: str, fix: str, tiny_bert: Path) -> None:
    config = load_checkpoint(tiny_bert, CLASSIFIER)[0].config
    with pytest.raises(UserError, match=rf"prune.target={target} is not reached .*{fix}"):
        budget(f"prune.target={target}").check_costs(config, Costs(0.05, 0.15, [0.0, 0.1], [0.0, 0.2], 64))


@pytest.mark.parametrize("target", ["speed:3", "speedup", "operations:0.0", "0.4", "latency_ms:-1", "speedup:x"])
def test_another_target_is_refused(target: str) -> None:
    with pytest.raises(UserError, match=r"prune\.target=.*: give a quantity and its limit, say speedup:3"):
        budget(f"prune.target='{target}'")
