"""Limits that a test is too small to show."""

from effcomp.find.promises import beyond_the_test
from effcomp.report.choose.goal import parse_goal


def test_a_limit_that_no_model_could_be_shown_to_keep_is_told_with_the_size_that_would_do() -> None:
    half, one = (parse_goal(["minimize=latency_p50_ms", f"max_accuracy_drop={points}"]) for points in (0.5, 1))
    (said,) = beyond_the_test(half, 872, 3)
    assert said.startswith("max_accuracy_drop=0.5: the 436 test examples that confirm cannot show it")
    assert (
        "own answers, one of 3 finalists, they show a drop of at most 0.77 points; give a wider limit, or 1,352" in said
    )
    assert beyond_the_test(half, 1352, 3) == []
    assert beyond_the_test(half, 1350, 3) != []
    assert beyond_the_test(one, 872, 3) == []
    assert beyond_the_test(parse_goal(["minimize=latency_p50_ms", "min_accuracy=0.9"]), 20, 3) == []
    (said,) = beyond_the_test(parse_goal(["minimize=latency_p50_ms", "max_accuracy_drop=0"]), 872, 3)
    assert said.endswith("; give a wider limit"), "no number of examples shows it"
