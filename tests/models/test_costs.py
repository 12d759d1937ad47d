"""Costs of shapes of layers: from those of some models, whatever disturbed their measurement."""

import pytest

from effcomp.models.costs import Costs, Shape, contradictions, fitted, shapes_to_measure

TRUE = Costs(outside=2.0, layer=3.0, heads=[0.0, 0.5, 1.0, 1.5], neurons=[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], block=64)


def cost(shape: Shape) -> float:
    return TRUE.total([[shape.heads, 64 * shape.blocks]] * shape.layers)


def test_costs_of_all_shapes_follow_from_those_measured() -> None:
    shapes = shapes_to_measure([[4, 384]] * 3, 64)
    assert shapes[0] == Shape(3, 4, 6), "the full one is first"
    assert len(set(shapes)) == len(shapes)
    found = fitted({shape: cost(shape) for shape in shapes}, 64)
    for shape in ([[4, 384]] * 3, [[1, 64]], [[2, 128], [3, 320]]):
        assert found.total(shape) == pytest.approx(TRUE.total(shape))


def test_a_shape_that_was_disturbed_costs_no_more_than_a_larger_one() -> None:
    costs = {shape: cost(shape) for shape in shapes_to_measure([[4, 384]] * 3, 64)}
    disturbed = max(shape for shape in costs if shape.layers == 3 and 1 < shape.blocks < 6)
    found = fitted(costs | {disturbed: 10 * costs[disturbed]}, 64)
    assert found.neurons == sorted(found.neurons)
    assert found.total([[4, 384]] * 3) == pytest.approx(TRUE.total([[4, 384]] * 3))
    assert found.of_layer(4, 64 * disturbed.blocks) == pytest.approx(TRUE.of_layer(4, 384))


def test_times_that_leave_nothing_to_a_layer_still_cost_something() -> None:
    """Few heads or few neurons measured nothing, so that the units seem to take all of the time."""
    costs = {shape: cost(shape) for shape in shapes_to_measure([[4, 384]] * 3, 64)}
    few = [shape for shape in costs if shape.layers == 3 and 1 in (shape.heads, shape.blocks)]
    free = costs | dict.fromkeys(few, 0.01)
    assert fitted(free, 64).total([[1, 64]]) > 0


def test_a_single_layer_and_a_single_head_have_costs() -> None:
    costs = {shape: cost(shape) for shape in shapes_to_measure([[1, 64]], 64)}
    assert list(costs) == [Shape(1, 1, 1)]
    assert fitted(costs, 64).total([[1, 64]]) == pytest.approx(5.0)


def test_shapes_that_cost_less_than_a_smaller_one_are_doubted_with_it() -> None:
    costs = {shape: cost(shape) for shape in shapes_to_measure([[4, 384]] * 3, 64)}
    assert contradictions(costs) == set()
    full, single = Shape(3, 4, 6), Shape(1, 4, 6)
    assert contradictions(costs | {full: 0.97 * max(cost for shape, cost in costs.items() if shape != full)}) == set()
    assert contradictions(costs | {single: 1.5 * costs[full]}) >= {full, single}
    too_fast = contradictions(costs | {full: costs[full] / 1.9})
    assert full in too_fast
    assert single not in too_fast, "it is still faster"
