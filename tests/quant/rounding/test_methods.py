"""Every rounding method: a rounded model is nearer to the float model than one rounded to nearest."""

from pathlib import Path

import pytest
import torch

from effcomp.core.errors import UserError
from effcomp.models.base import load_checkpoint
from effcomp.models.heads import Head
from effcomp.quant.grid import Grid
from effcomp.quant.grouped import CALIBRATED
from effcomp.quant.groups import RoundedLinear, quantize_groups, replace_layer
from effcomp.quant.rounding import learned
from effcomp.quant.rounding.methods import METHODS
from effcomp.quant.tensors import body_layers
from tests.quant.rounding.inputs import hidden_states, loaded, written

MODELS: list[tuple[str, Head]] = [
    ("bert", "sequence_classification"),  # post-layer normalization, and a pooler outside the transformer layers
    ("gpt2", "causal_lm"),  # query, key and value in one layer
    ("llama", "causal_lm"),  # grouped-query attention, gated feed-forward
]


@pytest.mark.parametrize("grid", [Grid(32, 3), Grid(16, 2, zero_point=True)], ids=["int3", "int2"])
@pytest.mark.parametrize(("model_type", "head"), MODELS)
@pytest.mark.parametrize("method", CALIBRATED)
def test_a_rounded_model_is_nearer_than_one_rounded_to_nearest(
    method: str,
    model_type: str,
    head: Head,
    grid: Grid,
    tiny_bert: Path,
    tiny_gpt2: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(learned, "STEPS", 40)  # enough for 32 features
    batches = written(model_type, head, tiny_gpt2 if head == "causal_lm" else tiny_bert, tmp_path)
    fitted, held_out = batches[:40], batches[40:]
    model, nearest, expected = loaded(tmp_path, head), loaded(tmp_path, head), loaded(tmp_path, head)
    grids = dict.fromkeys(body_layers(model), grid)
    METHODS[method](model, grids, fitted)
    for name, layer in body_layers(nearest).items():
        replace_layer(nearest, name, quantize_groups(layer.weight.detach(), grid), grid)
    for layer in body_layers(model).values():
        assert isinstance(layer, RoundedLinear)
        assert layer.coded.codes.min() >= grid.lowest
        assert layer.coded.codes.max() <= grid.highest
    right = hidden_states(expected, held_out)
    error, of_nearest = ((hidden_states(one, held_out) - right).square().mean() for one in (model, nearest))
    assert error < 0.85 * of_nearest


@pytest.mark.parametrize("method", CALIBRATED)
def test_inputs_that_are_not_finite_are_refused(method: str, tiny_bert: Path) -> None:
    model, tokenizer = load_checkpoint(tiny_bert, "sequence_classification")
    with torch.no_grad():
        model.bert.embeddings.LayerNorm.bias[0] = float("inf")
    grids = dict.fromkeys(body_layers(model), Grid(32, 4))
    message = rf"quant\.rounding={method}: bert\.encoder\.layer\.0.* inputs hold NaN or infinity"
    with pytest.raises(UserError, match=message):
        METHODS[method](model.eval(), grids, [dict(tokenizer("a film", return_tensors="np"))])
