"""Answers are found as lm-evaluation-harness finds them."""

import pytest

from effcomp.metrics.exact_match import flexible_match, strict_match

ANSWERS = ["9 * 2 = <<9*2=18>>18 dollars.\n#### 18", "so it is\n#### 1,200", "below zero\n#### -5"]


@pytest.mark.parametrize(
    ("output", "answer", "strict", "flexible"),
    [
        ("She makes 9 * 2 = $<<9*2=18>>18 every day.\n#### 18", ANSWERS[0], 1, 1),
        ("The answer is $18.", ANSWERS[0], 0, 1),
        ("#### 18\nQ: how many are 3 and 4? 7", ANSWERS[0], 1, 0),
        ("18 or 19", ANSWERS[0], 0, 0),
        ("#### $18", ANSWERS[0], 0, 1),
        ("#### 18.", ANSWERS[0], 1, 1),
        ("it comes to 1200", ANSWERS[1], 0, 1),
        ("#### 1,200", ANSWERS[1], 1, 1),
        ("#### -5", ANSWERS[2], 1, 1),
        ("minus 5", ANSWERS[2], 0, 0),
        ("no number", ANSWERS[0], 0, 0),
        ("", ANSWERS[0], 0, 0),
    ],
)
def test_the_number_is_found_or_the_answer_is_wrong(output: str, answer: str, strict: int, flexible: int) -> None:
    assert strict_match([output], [answer]).value == strict
    assert flexible_match([output], [answer]).value == flexible


def test_no_right_answer_still_has_an_interval() -> None:
    interval = strict_match(["nothing"] * 50, ANSWERS[:1] * 50).interval(0)
    assert interval.value == interval.low == 0
    assert 0.03 < interval.high < 0.1, "Wilson's"


def test_a_difference_without_a_flip_still_has_a_width() -> None:
    same = flexible_match(["18"] * 50, ANSWERS[:1] * 50)
    difference = same.minus(same, 0)
    assert difference.low < difference.value == 0 < difference.high


def test_a_reference_without_its_number_is_refused() -> None:
    with pytest.raises(ValueError, match="has no number after ####"):
        strict_match(["18"], ["eighteen"])
