"""Unstructured pruning: the right weights are zero, and as many as were asked for."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from effcomp.models.base import load_checkpoint
from tests.conftest import compose_parts

PRUNE = compose_parts("prune=l1_unstructured").prune


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.wide = nn.Linear(40, 30)
        self.narrow = nn.Linear(30, 10)
        self.classifier = nn.Linear(10, 2)
        with torch.no_grad():
            self.narrow.weight.mul_(10)

    @property
    def base_model(self) -> nn.Module:
        return nn.ModuleList([self.wide, self.narrow])


def pruned(ratio: float, scope: str) -> Small:
    model = Small()
    prune = compose_parts("prune=l1_unstructured", f"prune.scope={scope}").prune
    prune.apply(SimpleNamespace(model=model), ratio)
    return model


@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.9])
def test_the_share_of_zeros_is_the_ratio(ratio: float) -> None:
    for scope in ("global", "layer"):
        weights = torch.cat(
            [layer.weight.flatten() for layer in (pruned(ratio, scope).wide, pruned(ratio, scope).narrow)]
        )
        assert (weights == 0).float().mean() == pytest.approx(ratio, abs=0.002)


SIZES = st.integers(1, 9)


@given(SIZES, SIZES, st.floats(0, 0.99), st.sampled_from(["global", "layer"]), st.integers(0, 2**16))
def test_as_many_go_as_the_ratio_says_and_none_that_is_larger_than_one_that_stays(
    outputs: int, inputs: int, ratio: float, scope: str, seed: int
) -> None:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(inputs, outputs), nn.Linear(outputs, 2 * inputs))
    before = [layer.weight.detach().clone() for layer in model]
    PRUNE.model_copy(update={"scope": scope}).apply(SimpleNamespace(model=model), ratio)
    after = [layer.weight.detach() for layer in model]
    groups = [(torch.cat([w.flatten() for w in before]), torch.cat([w.flatten() for w in after]))]
    for was, now in groups if scope == "global" else zip(before, after, strict=True):
        gone = now == 0
        assert gone.sum() == round(ratio * was.numel())
        assert torch.equal(now[~gone], was[~gone])
        if gone.any() and not gone.all():
            assert was[gone].abs().max() <= was[~gone].abs().min()


def test_global_takes_from_the_layer_of_small_weights_and_layer_from_each() -> None:
    zeros = {scope: (pruned(0.5, scope).narrow.weight == 0).float().mean() for scope in ("global", "layer")}
    assert zeros["layer"] == pytest.approx(0.5, abs=0.002)
    assert zeros["global"] < 0.2


def test_the_smallest_weights_go_and_the_rest_stay() -> None:
    before, after = Small().wide.weight, pruned(0.4, "layer").wide.weight
    kept = after != 0
    assert torch.equal(after[kept], before[kept])
    assert before[~kept].abs().max() <= before[kept].abs().min()


def test_the_head_is_whole_and_no_mask_is_left() -> None:
    model = pruned(0.9, "global")
    assert (model.classifier.weight != 0).all()
    assert set(model.state_dict()) == set(Small().state_dict())


def test_conv1d_and_bitnets_masters_are_pruned_as_linear_layers_are(tiny_gpt2: Path, tiny_bitnet: Path) -> None:
    for folder, path in ((tiny_gpt2, "transformer.h.0.attn.c_attn"), (tiny_bitnet, "model.layers.0.mlp.up_proj")):
        model, _ = load_checkpoint(folder, "causal_lm")
        layer = model.get_submodule(path)
        before = layer.weight.detach().clone()
        compose_parts("prune=l1_unstructured", "prune.scope=layer").prune.apply(SimpleNamespace(model=model), 0.5)
        assert (layer.weight == 0).float().mean() == pytest.approx(0.5, abs=0.002)
        if folder == tiny_bitnet:
            assert layer.weight.abs().mean().item() == pytest.approx(before.abs().mean().item()), "the ternary scale"
            codes = layer.for_inference().weight.unique()
            assert len(codes) == 3
