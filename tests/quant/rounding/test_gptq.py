"""GPTQ: its codes are those of the brute-force method, and its outputs are nearer than round-to-nearest's."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from effcomp.quant.grid import Grid
from effcomp.quant.groups import Coded, quantize_groups
from effcomp.quant.rounding import gptq
from effcomp.quant.rounding.gptq import DAMPENING, fit_codes
from effcomp.quant.tensors import body_layers
from tests.quant.rounding.inputs import correlated, hidden_states, loaded, written


def brute_force(weight: Tensor, hessian: Tensor, fitted: Coded, grid: Grid) -> Tensor:
    """Round one column after another; after each, solve for the best float values of all columns that are left."""
    damped = hessian + DAMPENING * hessian.diagonal().mean() * torch.eye(len(hessian))
    order = hessian.diagonal().argsort(descending=True).tolist()
    original = weight.double()
    now, codes = original.clone(), torch.zeros_like(original)
    for place, column in enumerate(order):
        scale, zero = (one[:, column // grid.group_size].double() for one in (fitted.scale, fitted.zero_point))
        codes[:, column] = ((now[:, column] / scale).round() + zero).clamp(grid.lowest, grid.highest)
        now[:, column] = (codes[:, column] - zero) * scale
        fixed, free = order[: place + 1], order[place + 1 :]
        if free:
            pull = (now - original)[:, fixed] @ damped[fixed][:, free]
            now[:, free] = original[:, free] - torch.linalg.solve(damped[free][:, free], pull.T).T
    return codes


@pytest.mark.parametrize(
    ("inputs", "grid"),
    [(12, Grid(4, 4)), (16, Grid(8, 3)), (10, Grid(4, 3)), (12, Grid(4, 3, zero_point=True)), (8, Grid(8, 2, True))],
)
def test_codes_are_those_of_brute_force(inputs: int, grid: Grid) -> None:
    torch.manual_seed(1)
    weight, x = torch.randn(5, inputs), correlated(200, inputs).double()
    fitted = fit_codes(weight, x.T @ x, grid)
    assert torch.equal(fitted.codes[:, :inputs].double(), brute_force(weight, x.T @ x, fitted, grid))
    assert not fitted.weight(fitted.codes.shape[1])[:, inputs:].any()


@pytest.mark.parametrize("grid", [Grid(32, 4), Grid(32, 3), Grid(32, 3, zero_point=True), Grid(32, 2, zero_point=True)])
def test_the_outputs_are_nearer_than_those_of_round_to_nearest(grid: Grid) -> None:
    torch.manual_seed(2)
    weight, x = torch.randn(24, 96), correlated(500, 96)
    error = {}
    for name, coded in {
        "gptq": fit_codes(weight, (x.T @ x).double(), grid),
        "nearest": quantize_groups(weight, grid),
    }.items():
        assert coded.codes.min() >= grid.lowest
        assert coded.codes.max() <= grid.highest
        error[name] = (x @ (coded.weight(96) - weight).T).square().mean()
    assert error["gptq"] < 0.5 * error["nearest"]


def test_without_inputs_weights_are_rounded_to_nearest() -> None:
    weight = torch.randn(4, 32)
    for got, expected in zip(
        fit_codes(weight, torch.zeros(32, 32).double(), Grid(32, 4)), quantize_groups(weight, Grid(32, 4)), strict=True
    ):
        assert torch.equal(got, expected)


def test_fewer_tokens_than_inputs_and_dead_inputs_are_enough() -> None:
    torch.manual_seed(3)
    weight, x = torch.randn(8, 64), torch.randn(3, 64)
    x[:, ::2] = 0
    codes, scale, _ = fit_codes(weight, (x.T @ x).double(), Grid(32, 4))
    nearest = torch.round(weight / scale.repeat_interleave(32, dim=1)).clamp(-7, 7)
    assert torch.equal(codes[:, ::2].float(), nearest[:, ::2]), "the error of a dead input moves nothing, nor is moved"


def test_pruned_weights_stay_zero() -> None:
    torch.manual_seed(4)
    weight, x = torch.randn(8, 64), correlated(100, 64)
    weight[torch.rand(8, 64) < 0.5] = 0
    for zero_point in (False, True):
        fitted = fit_codes(weight, (x.T @ x).double(), Grid(32, 4, zero_point))
        assert not fitted.weight(64)[weight == 0].any()


def test_errors_of_the_layers_before_are_compensated() -> None:
    torch.manual_seed(5)
    weight, exact, grid = torch.randn(24, 96), correlated(500, 96), Grid(32, 4)
    read = exact + 0.1 * exact @ torch.randn(96, 96) / 96**0.5
    moments, drift = (read.T @ read).double(), ((exact - read).T @ read).double()
    plain, fitted = (fit_codes(weight, moments, grid, one).weight(96) for one in (None, drift))
    assert torch.equal(fit_codes(weight, moments, grid, 0 * drift).weight(96), plain)
    of_plain, of_fitted = ((read @ one.T - exact @ weight.T).square().mean() for one in (plain, fitted))
    assert of_fitted < 0.5 * of_plain


def test_a_rounded_model_is_nearer_where_errors_are_compensated(
    tiny_gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = written("llama", "causal_lm", tiny_gpt2, tmp_path)
    exact, distance = hidden_states(loaded(tmp_path, "causal_lm"), batches), []
    for share in (gptq.SHARE, 0.0):
        monkeypatch.setattr(gptq, "SHARE", share)
        model = loaded(tmp_path, "causal_lm")
        gptq.round_gptq(model, dict.fromkeys(body_layers(model), Grid(16, 2, zero_point=True)), batches)
        distance.append(float((hidden_states(model, batches) - exact).square().mean()))
    assert distance[0] < 0.95 * distance[1]
