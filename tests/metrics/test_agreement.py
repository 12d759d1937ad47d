"""Agreement of two models' tokens."""

import pytest

from effcomp.metrics.agreement import agreement


def test_after_an_early_divergence_tokens_can_still_agree() -> None:
    found = agreement([[5, 9, 7, 8]], [[5, 6, 7, 8]])
    assert found.identical_tokens.per_example.tolist() == [0.75]
    assert found.first_divergence.per_example.tolist() == [1]
    assert found.identical.tolist() == [False]


def test_an_output_that_stops_early_diverges_where_it_stops() -> None:
    found = agreement([[1, 2], [1, 2, 3, 4]], [[1, 2, 3, 4], [1, 2]])
    assert found.identical_tokens.per_example.tolist() == [0.5, 0.5]
    assert found.first_divergence.per_example.tolist() == [2, 2]
    assert not found.identical.any()


def test_identical_outputs_agree_to_their_end_and_two_empty_ones_are_identical() -> None:
    found = agreement([[1, 2, 3], []], [[1, 2, 3], []])
    assert found.identical_tokens.per_example.tolist() == [1, 1]
    assert found.first_divergence.per_example.tolist() == [3, 0]
    assert found.identical.all()


def test_an_empty_output_agrees_with_nothing() -> None:
    found = agreement([[]], [[1, 2]])
    assert found.identical_tokens.per_example.tolist() == [0]
    assert not found.identical[0]


def test_outputs_of_other_prompts_are_refused() -> None:
    with pytest.raises(ValueError, match="2 outputs cannot be paired with 1 outputs of the baseline"):
        agreement([[1], [2]], [[1]])
