"""Training with ternary weights: it learns, and what is stored in two bits is what was trained."""

from pathlib import Path

import pytest
import torch

from effcomp.artifact.folder import load_artifact
from effcomp.core.errors import UserError
from effcomp.finetune.base import read_curve
from effcomp.models.base import load_checkpoint
from effcomp.quant.tensors import HEAD_MODULES, linear_layers
from tests.conftest import MOVIES, compose_parts, write_small
from tests.training import train

HEAD = "sequence_classification"


@pytest.mark.parametrize("model", ["tiny_bert", "tiny_gpt2"])
def test_it_learns_and_two_bits_hold_what_it_learned(
    model: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    parts = compose_parts(
        f"model={'gpt2' if model == 'tiny_gpt2' else 'minilm'}",
        f"model.path={request.getfixturevalue(model)}",
        f"task.data_dir={MOVIES}",
        "task.test_size=20",
        "finetune=ternary",
        "finetune.epochs=30",
        "finetune.learning_rate=2e-3",
        "finetune.batch_size=16",
    )
    train(parts, HEAD, tmp_path / "checkpoint")
    curve = read_curve(tmp_path / "checkpoint")
    assert curve[-1]["loss"] < 0.7 * curve[0]["loss"]
    trained, tokenizer = load_checkpoint(tmp_path / "checkpoint", HEAD)
    folder = write_small(tmp_path / "checkpoint", tmp_path / "artifact", HEAD, "ternary")
    assert tokenizer is not None
    inputs = tokenizer(["a warm and funny film", "dull"], padding=True, return_tensors="pt")
    with torch.inference_mode():
        expected, stored = trained.eval()(**inputs).logits, load_artifact(folder)(**inputs).logits
    assert (stored - expected).abs().max() < 0.05 * float(expected.abs().max()), "activations alone are rounded"
    for name, layer in linear_layers(trained, skip=HEAD_MODULES).items():
        assert layer.weight.unique().numel() <= 3, name


def test_a_model_that_is_ternary_already_is_refused(tiny_bitnet: Path) -> None:
    parts = compose_parts("finetune=ternary", "model=bitnet", f"model.path={tiny_bitnet}")
    with pytest.raises(UserError, match="ternary already; use finetune=full"):
        parts.finetune.check_model(parts.model)
