"""HQQ: its scales have a smaller error than round-to-nearest's, and no group a larger one."""

from pathlib import Path

import pytest
import torch

from effcomp.models.base import load_checkpoint
from effcomp.quant.grid import Grid
from effcomp.quant.groups import in_groups, quantize_groups
from effcomp.quant.rounding.hqq import POWER, fit_codes, round_hqq
from effcomp.quant.tensors import body_layers

GRIDS = [Grid(32, 4), Grid(32, 3), Grid(32, 4, zero_point=True), Grid(32, 2, zero_point=True)]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("inputs", [128, 100])
def test_no_group_has_a_larger_error_than_rounded_to_nearest(inputs: int, grid: Grid) -> None:
    torch.manual_seed(0)
    weight = torch.distributions.StudentT(4.0).sample((48, inputs))
    groups = in_groups(weight, 32)
    error, squares = {}, {}
    for name, coded in {"hqq": fit_codes(weight, grid), "nearest": quantize_groups(weight, grid)}.items():
        assert coded.codes.min() >= grid.lowest
        assert coded.codes.max() <= grid.highest
        restored = coded._replace(scale=coded.scale.bfloat16().float()).weight(128)
        assert not restored[:, inputs:].any()
        off = (groups - in_groups(restored, 32)).abs()
        error[name], squares[name] = off.pow(POWER).sum(-1), off.square().sum(-1)
    assert (squares["hqq"] <= squares["nearest"] * (1 + 1e-5)).all()
    assert (error["hqq"] <= error["nearest"] * (1 + 1e-5)).all()
    assert error["hqq"].sum() < 0.97 * error["nearest"].sum()


def test_the_scale_is_near_the_best_of_a_fine_grid() -> None:
    torch.manual_seed(1)
    weight = torch.randn(64, 32)
    codes, scale, _ = fit_codes(weight, Grid(32, 3))
    found = (weight - codes * scale).abs().pow(POWER).sum(-1)
    first, widest, _ = quantize_groups(weight, Grid(32, 3))
    nearest = (weight - widest * first).abs()
    tried = []
    for step in (widest * share for share in torch.linspace(0.4, 1.1, 200)):
        off = (weight - step * torch.round(weight / step).clamp(-3, 3)).abs()
        allowed = off.square().sum(-1) <= nearest.square().sum(-1)
        tried.append(off.pow(POWER).sum(-1).where(allowed, torch.inf))
    best = torch.stack(tried).amin(0).minimum(nearest.pow(POWER).sum(-1))
    gained = (nearest.pow(POWER).sum(-1) - found).sum() / (nearest.pow(POWER).sum(-1) - best).sum()
    assert gained > 0.8


def test_a_large_weight_is_not_cut_off() -> None:
    torch.manual_seed(3)
    weight = torch.randn(8, 32)
    weight[:, 5] = 20.0
    codes, scale, _ = fit_codes(weight, Grid(32, 4))
    assert (codes * scale)[:, 5] == pytest.approx(torch.full((8,), 20.0), rel=0.15)


def test_the_magnitude_of_the_weights_does_not_matter() -> None:
    torch.manual_seed(2)
    weight = torch.randn(16, 64)
    codes, scale, _ = fit_codes(weight, Grid(32, 4))
    small_codes, small_scale, _ = fit_codes(weight * 2.0**-20, Grid(32, 4))
    assert torch.equal(small_codes, codes)
    assert torch.equal(small_scale, scale * 2.0**-20)


def test_zeros_and_constants_come_back() -> None:
    weight = torch.stack([torch.zeros(32), torch.full((32,), -0.5)])
    codes, scale, _ = fit_codes(weight, Grid(32, 4))
    assert torch.allclose(codes * scale, weight, rtol=2.0**-8)


def test_the_head_and_the_embeddings_stay(tiny_bert: Path) -> None:
    model, _ = load_checkpoint(tiny_bert, "sequence_classification")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    grids = dict.fromkeys(body_layers(model), Grid(32, 4))
    rounded = {f"{name}.weight" for name in grids}
    round_hqq(model, grids, [])
    assert {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])} == rounded
