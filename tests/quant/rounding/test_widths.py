"""Bits by layer: harms are those of one rounded layer, and the choice is the best of all."""

from itertools import product

import numpy as np

from effcomp.quant.grid import Grid
from effcomp.quant.rounding.widths import solve

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
