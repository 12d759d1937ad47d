"""Learned masks: gates open and close by their distribution, their cost reaches the target, dead units leave."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from effcomp.core.errors import UserError
from effcomp.models.base import load_checkpoint
from effcomp.models.blocks import counts, dense_counts, layers_with_units
from effcomp.models.costs import Costs, counted
from effcomp.models.depth import layers_of, set_layers
from effcomp.models.linear import matrix
from effcomp.prune.cofi import Cofi, left_open
from effcomp.prune.gates import Gates, LearnMasks, along, factor, is_open
from effcomp.prune.knapsack import best_shapes
from effcomp.prune.target import shrink_to
from tests.conftest import compose_parts
from tests.prune.test_structured import CLASSIFIER, setup_for

COSTS = Costs(outside=2.0, layer=3.0, heads=[0.0, 1.0], neurons=[0.0, 0.5], block=64)


def cofi(*settings: str) -> Cofi:
    trained = ["prune.recovery.epochs=1", "prune.recovery.batch_size=4", "prune.recovery.learning_rate=1e-3"]
    prune = compose_parts("prune=cofi", "prune.mask_epochs=8", *trained, *settings).prune
    assert isinstance(prune, Cofi)
    return prune


def logits(model: PreTrainedModel) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=torch.arange(6, 14)[None]).logits
    return found


def test_as_many_gates_are_open_as_their_probability_says() -> None:
    torch.manual_seed(0)
    log_alpha = torch.tensor([-3.0, -1.0, 0.0, 2.0])
    drawn = torch.stack([factor(log_alpha, drawn=True) for _ in range(20_000)])
    assert ((drawn >= 0) & (drawn <= 1)).all()
    assert (drawn > 0).float().mean(dim=0).tolist() == pytest.approx(is_open(log_alpha).tolist(), abs=0.02)
    assert factor(torch.tensor([-9.0, 9.0]), drawn=False).tolist() == [0.0, 1.0]


def test_costs_of_part_of_a_unit_lie_between_those_of_whole_ones() -> None:
    more = torch.tensor([-1.0, 0.5, 1.0, 1.5, 2.0, 3.0])
    assert along([0.0, 1.0, 5.0], more).tolist() == [0, 0.5, 1, 3, 5, 5]
    assert along([0.0], more).tolist() == [0] * 6


@pytest.mark.parametrize("fixture", ["tiny_bert", "tiny_distilbert", "tiny_llama"])
def test_gates_that_are_open_or_closed_act_as_units_that_are_there_or_not(
    fixture: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model = setup_for(fixture, CLASSIFIER, request, tmp_path).model.eval()
    before, gates = logits(model), Gates(model)
    dense = dense_counts(model.config)
    with gates.inside(model):
        for one in gates.parameters():
            one.data.fill_(9.0)
        assert torch.allclose(logits(model), before, atol=1e-5)
        assert gates.cost(COSTS).item() == pytest.approx(COSTS.total(dense), rel=1e-2)
        gates.of_layer(0)[0].data[0] = gates.of_layer(0)[1].data[-1] = gates.layers.data[1] = -9.0
        gated = logits(model)
        assert gates.cost(COSTS).item() == pytest.approx(2 + 3 + COSTS.heads[dense[0][0] - 2] + 0.5, rel=1e-2)
    assert torch.equal(logits(model), before), "the gates are out again"
    layer, both = next(layers_with_units(model))
    with torch.no_grad():
        for units, total, gone in zip(both, dense[0], (0, -1), strict=True):
            matrix(layer.get_submodule(units.reader)).unflatten(1, (total, -1))[:, gone] = 0
    set_layers(model, [layers_of(model)[0]])
    assert torch.allclose(logits(model), gated, atol=1e-5)


@pytest.mark.parametrize(("fixture", "target"), [("tiny_bert", "parameters:0.9"), ("tiny_llama", "operations:0.5")])
def test_the_target_holds_and_the_folder_loads(
    fixture: str, target: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    setup = setup_for(fixture, CLASSIFIER, request, tmp_path)
    quantity, _, share = target.partition(":")
    before = counted(setup.model, quantity, 64).total(counts(setup.model.config))
    setup, curve, seconds = cofi(f"prune.target={target}").prune(setup, request.getfixturevalue(fixture))
    assert counted(setup.model, quantity, 64).total(counts(setup.model.config)) <= float(share) * before
    assert {row["prune_step"] for row in curve} == {1, 2}
    learned = [row["expected_cost"] for row in curve if row["prune_step"] == 1]
    assert learned[0] > 0.97
    assert min(learned) < 0.9
    assert seconds > 0
    setup.model.eval().save_pretrained(tmp_path / "pruned")
    assert torch.allclose(
        logits(load_checkpoint(tmp_path / "pruned", CLASSIFIER)[0].eval()), logits(setup.model), atol=1e-5
    )


def test_the_expected_cost_falls_to_the_limit_and_stays(tiny_bert: Path, tmp_path: Path) -> None:
    gates = Gates(load_checkpoint(tiny_bert, CLASSIFIER)[0])
    dear_heads = Costs(outside=0.0, layer=4.0, heads=[0.0, 5.0], neurons=[0.0, 1.0], block=64)
    masks = LearnMasks(gates, dear_heads, limit=0.4 * 20, learning_rate=0.1)
    arguments, state = TrainingArguments(str(tmp_path), use_cpu=True), TrainerState(max_steps=600)
    masks.on_train_begin(arguments, state, TrainerControl())
    shares = []
    for state.global_step in range(600):
        (0.1 * sum((1 - factor(one, drawn=True)).mean() for one in gates.parameters())).backward()
        masks.on_pre_optimizer_step(arguments, state, TrainerControl())
        masks.on_optimizer_step(arguments, state, TrainerControl())
        shares.append(gates.cost(dear_heads).item() / 20)
    assert shares[0] > 0.97
    assert shares[-100:] == pytest.approx([0.4] * 100, abs=0.1)


def test_units_that_matter_stay(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    setup = setup_for("tiny_bert", CLASSIFIER, request, tmp_path)
    importance = [[torch.tensor([0.1, 0.9]), torch.cat([torch.ones(64), torch.zeros(64)])]] * 2
    before = [one.intermediate.dense.weight.detach().clone() for one in layers_of(setup.model)]
    shapes = best_shapes([left_open(*one, 64) for one in importance], counted(setup.model, "operations", 64), 1e9)
    assert shapes == [(2, 128), (2, 128)], "nothing leaves where all fits"
    shrink_to(setup.model, [(1, 64), None], importance)
    (layer,) = layers_of(setup.model)
    assert torch.equal(layer.intermediate.dense.weight, before[0][:64])


class Interrupt(TrainerCallback):
    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 30:
            raise KeyboardInterrupt


def test_an_interrupted_training_goes_on_with_its_gates(
    tiny_bert: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    prune = cofi("prune.recovery.checkpoint_steps=25", "prune.target=operations:0.6", "prune.mask_epochs=4")
    whole, curve, _ = prune.prune(setup_for("tiny_bert", CLASSIFIER, request, tmp_path / "whole"), tiny_bert)
    setup = setup_for("tiny_bert", CLASSIFIER, request, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        prune.prune(replace(setup, callbacks=(Interrupt(),)), tiny_bert)
    assert [folder.name for folder in (setup.scratch / "masks").glob("checkpoint-*")] == ["checkpoint-25"]
    again, rows, _ = prune.prune(setup_for("tiny_bert", CLASSIFIER, request, tmp_path), tiny_bert)
    assert counts(again.model.config) == counts(whole.model.config)
    learned = [[row.get("expected_cost") for row in one if row["step"] > 25] for one in (rows, curve)]
    assert learned[0] == learned[1]
    assert logits(again.model.eval()).tolist() == logits(whole.model.eval()).tolist()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["finetune@prune.recovery=none"], "learns its masks by full or distill, not by finetune@prune.recovery=none"),
        (["finetune@prune.recovery=lora"], "learns its masks by full or distill, not by finetune@prune.recovery=lora"),
        (["prune.recovery.processes=2", "prune.recovery.batch_size=4"], "masks are learned by one; give 1"),
    ],
)
def test_a_recovery_that_cannot_learn_masks_is_refused(settings: list[str], message: str) -> None:
    parts = compose_parts("prune=cofi", *settings)
    with pytest.raises(UserError, match=message):
        parts.prune.check(parts.model)
