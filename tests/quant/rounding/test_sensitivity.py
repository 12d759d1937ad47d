"""Harm of rounding one layer: measured and estimated, they agree on what matters."""

from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from effcomp.models.base import load_checkpoint
from effcomp.quant.grid import Grid
from effcomp.quant.rounding.sensitivity import estimate_harms, measure_harms
from effcomp.quant.tensors import body_layers, linear_layers
from tests.conftest import MOVIES, compose_parts
from tests.quant.rounding.inputs import loaded, written
from tests.training import train

HEAD = "sequence_classification"
GRIDS = [Grid(32, bits, zero_point=True) for bits in (2, 3, 4, 8)]


def test_harms_fall_with_bits_and_the_model_stays(tiny_bert: Path, tmp_path: Path) -> None:
    batches = written("bert", HEAD, tiny_bert, tmp_path)[:6]
    model = loaded(tmp_path, HEAD)
    layers = body_layers(model)
    before = {name: layer.weight.detach().clone() for name, layer in layers.items()}
    harms = measure_harms(model, layers, GRIDS, batches)
    assert (harms >= -1e-6).all()
    assert harms.shape == (len(batches), len(layers), len(GRIDS))
    assert (np.diff(harms.mean(axis=(0, 1))) < 0).all()
    assert all(torch.equal(layer.weight, before[name]) for name, layer in layers.items())


def test_both_ways_find_the_layer_that_suffers_most(tiny_bert: Path, tmp_path: Path) -> None:
    learn = ["finetune.epochs=4", "finetune.learning_rate=2e-3", "finetune.batch_size=16"]
    parts = compose_parts(f"model.path={tiny_bert}", f"task.data_dir={MOVIES}", "task.test_size=20", *learn)
    train(parts, HEAD, tmp_path / "trained")
    model, tokenizer = load_checkpoint(tmp_path / "trained", HEAD)
    planted = "layer.1.output.dense"
    with torch.no_grad():  # outliers that widen the steps of all other weights; the norm after it takes their sum away
        model.bert.encoder.get_submodule(planted).weight[:, ::32] += 20
    samples = [dict(tokenizer(text, return_tensors="np")) for text in parts.task.load().train.texts[:16]]
    layers = linear_layers(model.bert.encoder)
    measured = measure_harms(model.eval(), layers, GRIDS, samples).mean(axis=0)
    estimated = estimate_harms(model, layers, GRIDS, samples)
    place = list(layers).index(planted)
    for column, grid in enumerate(GRIDS):
        assert measured[:, column].argmax() == place, grid
        assert estimated[:, column].argmax() == place, grid


def test_the_estimate_is_near_the_measured_harm_of_a_decoder() -> None:
    torch.manual_seed(0)
    shape = {"vocab_size": 200, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(**shape, **heads, initializer_range=0.15)).eval()
    generator = np.random.default_rng(0)
    samples = [{"input_ids": generator.integers(5, 200, (1, 24))} for _ in range(32)]
    layers = body_layers(model)
    measured = measure_harms(model, layers, GRIDS[2:], samples).mean(axis=0)
    np.testing.assert_allclose(estimate_harms(model, layers, GRIDS[2:], samples), measured, rtol=0.3)
