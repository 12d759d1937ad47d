"""SparseGPT: zeros with an update of the weights that stay, after the pruned layers before."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from effcomp.core.errors import UserError
from effcomp.models.depth import layers_of
from effcomp.models.heads import Head
from effcomp.models.linear import matrix
from effcomp.prune.semi_structured import zero_two_of_four
from effcomp.prune.sparse import matrices
from effcomp.prune.sparsegpt import SparseGPT, reconstructed
from effcomp.prune.wanda import Wanda
from tests.conftest import compose_parts
from tests.prune.test_structured import setup_for
from tests.prune.test_wanda import CASES
from tests.quant.rounding.inputs import correlated


def sparsegpt(*settings: str) -> SparseGPT:
    prune = compose_parts("prune=sparsegpt", "prune.samples=20", *settings).prune
    assert isinstance(prune, SparseGPT)
    return prune


def layer() -> tuple[Tensor, Tensor, Tensor]:
    """A weight, correlated inputs, and their second moments."""
    inputs = correlated(400, 64)[:, torch.randperm(64, generator=torch.Generator().manual_seed(2))]
    weight = torch.randn(48, 64, generator=torch.Generator().manual_seed(1))
    return weight, inputs, (inputs.T @ inputs).double()


def error(weight: Tensor, sparse: Tensor, inputs: Tensor) -> float:
    return float((inputs.double() @ (weight - sparse).T.double()).norm())


def best_for(zero: Tensor, weight: Tensor, hessian: Tensor) -> Tensor:
    """The weight with these zeros and the smallest error, row by row: H_SS w_S = (H w)_S for the inputs S that stay."""
    best = torch.zeros_like(weight, dtype=torch.float64)
    damped = hessian + 0.01 * hessian.diagonal().mean() * torch.eye(len(hessian))
    for row, gone in enumerate(zero):
        stay = ~gone
        best[row, stay] = torch.linalg.solve(damped[stay][:, stay], (damped @ weight[row].double())[stay])
    return best


def test_zeros_before_all_others_have_the_best_update() -> None:
    weight, _, hessian = layer()
    found = reconstructed(weight, hessian, 64, lambda scores: torch.arange(scores.shape[1]).expand_as(scores) < 8)
    zero = torch.arange(64).expand_as(weight) < 8
    torch.testing.assert_close(found, best_for(zero, weight, hessian))


@pytest.mark.parametrize("pattern", ["unstructured", "2:4"])
def test_outputs_change_less_than_by_magnitude_and_by_wanda(pattern: str) -> None:
    weight, inputs, hessian = layer()
    sparse = sparsegpt(f"prune.pattern={pattern}").sparse(weight, hessian)
    magnitude, wanda = weight.clone(), weight.clone()
    scores = weight.abs() * inputs.norm(dim=0)
    pruner = compose_parts("prune=wanda", f"prune.pattern={pattern}").prune
    assert isinstance(pruner, Wanda)
    pruner.zero(wanda, scores)
    if pattern == "2:4":
        zero_two_of_four(magnitude, weight.abs())
    else:
        magnitude[weight.abs() < weight.abs().median()] = 0
    best = error(weight, best_for(sparse == 0, weight, hessian), inputs)
    found = error(weight, sparse, inputs)
    assert found < 0.75 * error(weight, wanda, inputs) < error(weight, magnitude, inputs)
    assert best < found, "no update of these zeros is better than the closed form"


def test_the_share_and_the_pattern_hold() -> None:
    weight, _, hessian = layer()
    assert int((sparsegpt("prune.ratio=0.25").sparse(weight, hessian) == 0).sum()) == round(0.25 * weight.numel())
    zeros = (sparsegpt("prune.pattern=2:4").sparse(weight, hessian) == 0).unflatten(1, (-1, 4)).sum(dim=2)
    assert (zeros == 2).all()


def test_a_layer_that_is_not_called_loses_its_smallest_weights() -> None:
    weight, _, hessian = layer()
    found = sparsegpt().sparse(weight, torch.zeros_like(hessian))
    stay = found != 0
    assert torch.equal(found[stay].float(), weight[stay])
    assert weight[~stay].abs().max() <= weight[stay].abs().min()


@pytest.mark.parametrize(("fixture", "head"), CASES)
def test_every_matrix_of_a_model_has_its_zeros(
    fixture: str, head: Head, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    setup = setup_for(fixture, head, request, tmp_path)
    before = {name: matrix(layer).clone() for name, layer in matrices(setup.model).items()}
    sparsegpt("prune.ratio=0.25").apply(setup, 1.0)
    for name, one in matrices(setup.model).items():
        zero = matrix(one) == 0
        assert int(zero.sum()) == pytest.approx(0.25 * zero.numel(), abs=one.weight.shape[1])
        assert not torch.equal(matrix(one)[~zero], before[name][~zero]), "what stays has changed"


def test_what_it_cannot_read_is_refused(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    setup = setup_for("tiny_llama", "causal_lm", request, tmp_path)
    with torch.no_grad():
        layers_of(setup.model)[0].input_layernorm.weight[0] = torch.nan
    with pytest.raises(UserError, match=r"prune=sparsegpt: .*: its inputs hold NaN or infinity .*; use prune=l1_unstr"):
        sparsegpt().apply(setup, 1.0)
    parts = compose_parts("prune=sparsegpt", "prune.pattern=2:4", "prune.ratio=0.3")
    with pytest.raises(UserError, match=r"prune\.ratio=0\.3: prune\.pattern=2:4 takes half of the weights"):
        parts.prune.check(parts.model)
