"""Bits by layer: harms are those of one rounded layer, and the choice is the best of all."""

from itertools import product
from pathlib import Path

import numpy as np
import torch

from effcomp.quant.grid import Grid
from effcomp.quant.rounding.widths import measure_harms, solve
from effcomp.quant.tensors import HEAD_MODULES, linear_layers
from tests.quant.rounding.inputs import loaded, written

GRIDS = [Grid(32, bits, zero_point=True) for bits in (2, 3, 4, 8)]


def test_the_choice_is_that_of_brute_force() -> None:
    generator = np.random.default_rng(0)
    for _ in range(10):
        harms = np.sort(generator.exponential(size=(5, 3)) * 1e-4)[:, ::-1]
        sizes = np.outer(generator.integers(1000, 5000, size=5), (2, 3, 4))
        allowed = float(sizes[:, 1].sum() * generator.uniform(0.8, 1.2))
        rows = range(5)
        fitting = [one for one in product(range(3), repeat=5) if sizes[rows, one].sum() <= allowed]
        best = min(fitting, key=lambda one: harms[rows, one].sum())
        found = solve(harms, sizes, allowed)
        assert found is not None
        assert sizes[rows, found].sum() <= allowed
        np.testing.assert_allclose(harms[rows, found].sum(), harms[rows, best].sum(), rtol=1e-6)
        assert solve(harms, sizes, float(sizes[:, 0].sum() - 1)) is None


def test_harms_fall_with_bits_and_the_model_stays(tiny_bert: Path, tmp_path: Path) -> None:
    batches = written("bert", "sequence_classification", tiny_bert, tmp_path)[:6]
    model = loaded(tmp_path, "sequence_classification")
    layers = linear_layers(model, skip=HEAD_MODULES)
    before = {name: layer.weight.detach().clone() for name, layer in layers.items()}
    harms = measure_harms(model, layers, GRIDS, batches)
    assert (harms >= -1e-6).all()
    assert (np.diff(harms.mean(axis=0)) < 0).all()
    assert all(torch.equal(layer.weight, before[name]) for name, layer in layers.items())
