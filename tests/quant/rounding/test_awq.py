"""AWQ: scaling leaves the float model as it is, and scales and ranges make the outputs' error smaller."""

from pathlib import Path

import pytest
import torch

from effcomp.models.heads import Head
from effcomp.quant.grid import Grid
from effcomp.quant.groups import quantize_groups
from effcomp.quant.rounding.awq import fit_codes, fit_scales, scale_layers, scaled_layers
from effcomp.quant.rounding.inputs import moments_by_block
from effcomp.quant.tensors import body_layers
from tests.quant.rounding.inputs import correlated, hidden_states, loaded, written

MODELS: list[tuple[str, Head, int]] = [
    ("bert", "sequence_classification", 2),  # the value projections alone
    ("distilbert", "sequence_classification", 2),
    ("albert", "sequence_classification", 0),
    ("gpt2", "causal_lm", 6),  # two norms and the value's rows for each of two layers
    ("gpt_neo", "causal_lm", 6),
    ("llama", "causal_lm", 6),  # no value projection: key and value heads are shared
]


@pytest.mark.parametrize(("model_type", "head", "count"), MODELS)
def test_scaling_leaves_the_float_model_as_it_is(
    model_type: str, head: Head, count: int, tiny_bert: Path, tiny_gpt2: Path, tmp_path: Path
) -> None:
    batches = written(model_type, head, tiny_gpt2 if head == "causal_lm" else tiny_bert, tmp_path)[:5]
    model = loaded(tmp_path, head)
    before, layers = hidden_states(model, batches), body_layers(model)
    weights = {name: layer.weight.detach().clone() for name, layer in layers.items()}
    scaled, changed = list(scaled_layers(model)), set()
    assert len(scaled) == count
    for moments in moments_by_block(model, batches):
        for one in scaled:
            if one.layers[0] in moments:
                scale_layers(one, layers, dict.fromkeys(layers, Grid(32, 2, zero_point=True)), moments)
                changed |= {name for name in one.layers if not torch.equal(layers[name].weight, weights[name])}
    assert bool(changed) == bool(count)
    torch.testing.assert_close(hidden_states(model, batches), before, rtol=1e-3, atol=1e-3)


def test_scales_make_the_error_of_the_outputs_smaller() -> None:
    torch.manual_seed(0)
    weights, x, grid = [torch.randn(24, 96), torch.randn(8, 96)], torch.randn(500, 96), Grid(32, 3)
    x[:, ::12] *= 20  # a few channels are large, as in models
    scales = fit_scales(weights, (x.T @ x).double(), [grid, grid])
    rounded = [quantize_groups(weight * scales, grid).weight(96) / scales for weight in weights]
    error = sum((x @ (got - right).T).square().sum() for got, right in zip(rounded, weights, strict=True))
    nearest = [quantize_groups(weight, grid).weight(96) for weight in weights]
    of_nearest = sum((x @ (got - right).T).square().sum() for got, right in zip(nearest, weights, strict=True))
    assert error < 0.8 * of_nearest


@pytest.mark.parametrize("grid", [Grid(32, 3), Grid(32, 2, zero_point=True)])
def test_clipping_never_makes_the_error_of_a_group_larger(grid: Grid) -> None:
    torch.manual_seed(1)
    weight, x = torch.distributions.StudentT(4.0).sample((24, 100)), correlated(500, 100)
    error = {}
    for name, coded in {
        "awq": fit_codes(weight, (x.T @ x).double(), grid),
        "nearest": quantize_groups(weight, grid),
    }.items():
        difference = coded._replace(scale=coded.scale.bfloat16().float()).weight(100) - weight
        parts = [difference[:, at : at + 32] @ x[:, at : at + 32].T for at in range(0, 100, 32)]
        error[name] = torch.stack([part.square().sum(1) for part in parts])
    assert (error["awq"] <= error["nearest"] * 1.01).all()
    assert error["awq"].sum() < 0.8 * error["nearest"].sum()


def test_without_inputs_weights_are_rounded_to_nearest() -> None:
    weight, grid = torch.randn(4, 32), Grid(32, 4)
    nothing = torch.zeros(32, 32)
    assert torch.equal(fit_scales([weight], nothing, [grid]), torch.ones(32))
    assert torch.equal(fit_codes(weight, nothing, grid).codes, quantize_groups(weight, grid).codes)
