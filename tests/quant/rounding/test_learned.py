"""Learned rounding: what is stored is what was learned, zeros stay, and it refuses what it cannot learn."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AlbertConfig, AutoConfig

from effcomp.core.errors import Skipped
from effcomp.quant.grid import Grid
from effcomp.quant.groups import RoundedLinear
from effcomp.quant.rounding import learned
from effcomp.quant.rounding.learned import LearnedRounding, of_one_length, round_learned
from effcomp.quant.tensors import body_layers
from tests.conftest import compose_parts
from tests.quant.rounding.inputs import loaded, written

HEAD = "sequence_classification"


@pytest.mark.parametrize("grid", [Grid(32, 3), Grid(32, 4, zero_point=True), Grid(16, 2, zero_point=True)])
def test_the_codes_stand_for_the_weight_that_was_learned(grid: Grid) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(100, 24)
    one = LearnedRounding(layer, torch.rand(100), grid)
    with torch.no_grad():
        one.offset.uniform_(-0.5, 0.5)
        one.stretch.uniform_(0.5, 1.5)
    coded = one.coded()
    assert coded.codes.min() >= grid.lowest
    assert coded.codes.max() <= grid.highest
    assert torch.equal(coded.scale, coded.scale.bfloat16().float()), "nothing is lost when it is stored"
    torch.testing.assert_close(coded.weight(100), one.rounded_weight())


def test_pruned_weights_stay_zero_and_the_model_is_as_it_was(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learned, "STEPS", 20)
    batches = written("bert", HEAD, tiny_bert, tmp_path)[:10]
    model = loaded(tmp_path, HEAD)
    removed, use_cache = {}, model.config.use_cache
    for name, layer in body_layers(model).items():
        removed[name] = torch.rand_like(layer.weight) < 0.5
        layer.weight.data[removed[name]] = 0
    round_learned(model, dict.fromkeys(removed, Grid(32, 4)), batches)
    for name, layer in body_layers(model).items():
        assert isinstance(layer, RoundedLinear)
        assert not layer.weight[removed[name]].any()
    assert model.config.use_cache == use_cache


def test_batches_are_of_one_length_and_hold_every_sample() -> None:
    samples = [{"input_ids": np.full((1, length), number)} for number, length in enumerate([3, 5, 3] * 7)]
    batches = of_one_length(samples)
    assert max(len(one["input_ids"]) for one in batches) <= learned.BATCH
    assert sorted(number for one in batches for number in one["input_ids"][:, 0]) == list(range(21))


def test_an_unknown_architecture_is_refused_before_any_work(tiny_bert: Path) -> None:
    quant = compose_parts("quant=int4", "quant.rounding=learned").quant
    quant.check_config(AutoConfig.from_pretrained(tiny_bert))
    with pytest.raises(Skipped, match=r"quant\.rounding=learned: .* bert, .* and this is albert; try quant\.rounding="):
        quant.check_config(AlbertConfig())
