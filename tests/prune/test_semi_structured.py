"""The 2:4 pattern: in the model, through training, and on disk."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from effcomp.artifact.folder import Compression, Trained, write_artifact
from effcomp.finetune.base import read_curve
from effcomp.models.base import load_checkpoint
from effcomp.models.heads import Head
from effcomp.models.linear import matrix
from effcomp.prune.sparse import matrices
from tests.conftest import MOVIES, compose_parts
from tests.training import new_setup


def of_four(weight: torch.Tensor) -> set[int]:
    """Return every number of nonzero weights that occurs among 4 consecutive inputs."""
    return set((weight.unflatten(1, (-1, 4)) != 0).sum(dim=2).unique().tolist())


@pytest.mark.parametrize(
    ("fixture", "head"),
    [("tiny_bert", "sequence_classification"), ("tiny_gpt2", "causal_lm"), ("tiny_bitnet", "causal_lm")],
)
def test_of_each_four_inputs_the_two_largest_stay(fixture: str, head: Head, request: pytest.FixtureRequest) -> None:
    model, _ = load_checkpoint(request.getfixturevalue(fixture), head)
    before = {name: matrix(layer).clone() for name, layer in matrices(model).items()}
    compose_parts("prune=semi_structured_2_4").prune.apply(SimpleNamespace(model=model), 1.0)
    for name, layer in matrices(model).items():
        assert of_four(matrix(layer)) == {2}, name
        was, now = before[name].abs().unflatten(1, (-1, 4)), matrix(layer).unflatten(1, (-1, 4))
        kept = was.where(now != 0, torch.inf).amin(dim=2)
        assert (was.where(now == 0, 0).amax(dim=2) <= kept).all(), name


PRUNE = compose_parts("prune=semi_structured_2_4").prune


@given(st.integers(1, 6), st.integers(1, 21), st.sampled_from([0.0, 1.0, 1e-30]))
def test_of_any_shape_two_of_each_whole_four_go_and_the_rest_stays(outputs: int, inputs: int, spread: float) -> None:
    """With no spread all weights are equal: still two of four."""
    layer = nn.Linear(inputs, outputs)
    with torch.no_grad():
        layer.weight.mul_(spread).add_(1)
    before, whole = layer.weight.detach().clone(), inputs // 4 * 4
    PRUNE.apply(SimpleNamespace(model=nn.Sequential(layer)), 1.0)
    after = layer.weight.detach()
    assert not whole or of_four(after[:, :whole]) == {2}
    assert torch.equal(after[:, whole:], before[:, whole:])
    assert torch.equal(after[after != 0], before[after != 0])


def test_the_pattern_holds_on_disk_behind_a_recovery(tiny_bert: Path, tmp_path: Path) -> None:
    parts = compose_parts(
        f"model.path={tiny_bert}",
        *(f"task.data_dir={MOVIES}", "task.test_size=20"),
        *("prune=semi_structured_2_4", "finetune@prune.recovery=full", "prune.recovery.epochs=2"),
    )
    head: Head = "sequence_classification"
    (tmp_path / "pruned").mkdir()
    (tmp_path / "artifact").mkdir()
    parts.prune.write(new_setup(parts, head, tmp_path / "pruned"), tmp_path, tmp_path / "pruned")
    assert len(read_curve(tmp_path / "pruned")) > 0
    model, tokenizer = load_checkpoint(tmp_path / "pruned", head)
    write_artifact(
        Trained(model, tokenizer, head),
        Compression(parts.prune, parts.quant, parts.runtime.file_format),
        [],
        [],
        tmp_path / "artifact",
    )
    tensors = load_file(tmp_path / "artifact/model.safetensors")
    pruned = {name for name in tensors if "encoder.layer" in name and tensors[name].ndim == 2}
    assert len(pruned) == 12
    assert all(of_four(tensors[name]) == {2} for name in pruned)
    assert of_four(tensors["classifier.weight"]) == {4}
