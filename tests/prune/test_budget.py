"""Pruning to a budget: the target holds, and the units that matter least for their cost have left."""

from pathlib import Path

import pytest
import torch

from effcomp.core.errors import UserError
from effcomp.models.base import load_checkpoint
from effcomp.models.blocks import counts, dense_counts, parts
from effcomp.models.heads import Head
from effcomp.models.linear import matrix
from effcomp.prune.budget import Budget
from effcomp.prune.knapsack import Cost, best_units, total_cost, unit_costs
from effcomp.record import label
from tests.conftest import compose_parts
from tests.prune.test_structured import CASES, CLASSIFIER, job_for


def test_a_run_is_named_by_its_target() -> None:
    config = compose_parts("prune=budget", "prune.target=parameters:0.4").config
    assert label(config) == "minilm-rotten_tomatoes-none-budget-parameters:0.4"


def budget(*settings: str) -> Budget:
    prune = compose_parts("prune=budget", *settings).prune
    assert isinstance(prune, Budget)
    return prune


@pytest.mark.parametrize(("fixture", "head"), CASES)
@pytest.mark.parametrize(("quantity", "share"), [("operations", 0.6), ("parameters", 0.8)])
def test_the_target_holds_and_the_folder_loads(
    fixture: str, head: Head, quantity: str, share: float, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    job = job_for(fixture, head, request, tmp_path)
    before, largest = total_cost(job.model.base_model, quantity), 0.0
    for layer in unit_costs(job.model, quantity):
        largest = max(largest, *(cost.each * cost.step for cost in layer))
    prune = budget(f"prune.target={quantity}:{share}", "prune.samples=20")
    prune.check_config(job.model.config)
    prune.apply(job, 1.0)
    after = total_cost(job.model.base_model, quantity)
    assert share * before - largest < after <= share * before, "no more has left than the last unit brought"
    job.model.eval().save_pretrained(tmp_path / "pruned")
    ids = torch.arange(6, 14)[None]
    with torch.no_grad():
        loaded, _ = load_checkpoint(tmp_path / "pruned", head)
        assert torch.allclose(loaded.eval()(input_ids=ids).logits, job.model(input_ids=ids).logits, atol=1e-5)


def test_what_changes_nothing_leaves_first_so_that_layers_differ(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    job = job_for("tiny_llama", CLASSIFIER, request, tmp_path)
    (layer, both), *_ = parts(job.model)
    with torch.no_grad():  # nothing reads one of the first layer's two heads, and half of its neurons
        for units, total in zip(both, dense_counts(job.model.config)[0], strict=True):
            matrix(layer.get_submodule(units.reader)).unflatten(1, (total, -1))[:, : total // 2] = 0
    ids = torch.arange(6, 14)[None]
    with torch.no_grad():
        expected = job.model.eval()(input_ids=ids).logits
    budget("prune.target=operations:0.8", "prune.samples=20").apply(job, 1.0)
    assert counts(job.model.config) == [[1, 64], [2, 128]]
    with torch.no_grad():
        assert torch.allclose(job.model.eval()(input_ids=ids).logits, expected, atol=1e-5)


def test_units_compete_by_importance_over_cost() -> None:
    heads, neurons = torch.tensor([8.0, 5.0, 9.0]), torch.tensor([1.0, 6.0, 2.0, 7.0])
    costs = [[Cost(3, 1, 10.0), Cost(4, 2, 1.0)], [Cost(3, 1, 2.0), Cost(4, 2, 1.0)]]
    importance = [[heads, neurons], [heads, neurons]]
    assert best_units(importance, costs, 0) == [([0, 1, 2], [0, 1, 2, 3])] * 2
    assert best_units(importance, costs, 10) == [([0, 2], [0, 1, 2, 3]), ([0, 1, 2], [0, 1, 2, 3])]
    # The other head of the first layer leaves next (8 / 10), then blocks of the neurons 0 and 2 (root of 5, over 2).
    assert best_units(importance, costs, 23) == [([2], [1, 3]), ([0, 1, 2], [1, 3])]
    assert best_units(importance, costs, 1000) == [([2], [1, 3]), ([2], [1, 3])], "a head and a block stay"


@pytest.mark.parametrize(("target", "smallest"), [("operations:0.3", r"0\.500"), ("parameters:0.01", r"0\.\d\d\d")])
def test_a_target_that_cannot_be_reached_is_refused(target: str, smallest: str, tiny_bert: Path) -> None:
    config = load_checkpoint(tiny_bert, CLASSIFIER)[0].config
    with pytest.raises(UserError, match=rf"prune.target={target} leaves .*; the smallest share possible is {smallest}"):
        budget(f"prune.target={target}").check_config(config)


@pytest.mark.parametrize("target", ["speed:3", "parameters:40", "operations:0.0", "0.4"])
def test_another_target_is_refused(target: str) -> None:
    with pytest.raises(UserError, match=r"prune\.target=.*: give what is limited and the share that stays, say param"):
        budget(f"prune.target='{target}'")
