"""Answer: intervals that are corrected for the number of finalists, the verdict, and what lost."""

import json
from pathlib import Path

from effcomp.core.interval import Interval
from effcomp.find.answer import WinnersRun, answer, as_json, in_words
from effcomp.find.plan import Candidate, Plan
from effcomp.find.search import Found
from effcomp.record import Record
from effcomp.report.choose.goal import parse_goal
from tests.conftest import altered, records

GOAL = parse_goal(["minimize=latency_p50_ms", "max_accuracy_drop=1"])
NF4, FP4, BF16 = (Candidate(name, "none", "torch", "bfloat16") for name in ("nf4", "fp4", "bf16"))


def losing(points: float, half: float) -> Record:
    """A record of a real run that is given another loss of accuracy."""
    (nf4,) = records("nf4")
    middle = -points / 100
    difference = Interval(value=middle, low=middle - half / 100, high=middle + half / 100)
    record: Record = altered(nf4, {"versus_baseline.accuracy_difference": difference})
    return record


def test_a_limit_that_one_test_would_keep_may_not_be_kept_among_three() -> None:
    found = {NF4: losing(0.2, 0.7)}
    assert answer(GOAL, Found(finals=found, looks=found, tests=1)).winner == NF4
    among_three = answer(GOAL, Found(finals=found, looks=found, tests=3))
    assert among_three.winner is None
    assert "would decide" in among_three.recommendation.others[0]


def test_the_answer_has_the_verdict_the_losers_and_the_next_commands(tmp_path: Path) -> None:
    kept, lost = losing(0.1, 0.3), losing(0.1, 3)
    found = Found({NF4: kept, FP4: lost}, {NF4: kept, FP4: lost}, {BF16: "it failed"}, measured=5, tests=2)
    one = answer(GOAL, found)
    run = WinnersRun(kept, tmp_path, "m-1")
    text = in_words(one, run)
    assert one.winner == NF4
    assert "recommended for minimize=latency_p50_ms max_accuracy_drop=1" in text
    assert "intervals of 97.50 %: 95 % corrected for 2 configurations" in text
    assert "Confirmed on test examples that the search did not use." in text
    assert "not confirmed:\n  bf16 on torch: it failed" in text
    assert "\nagain     python -m effcomp.run quant=nf4" in text
    machine = json.loads(as_json(one, GOAL, Plan([NF4, FP4, BF16], [], {}, 1500), found, run))
    assert "mlflow models serve --env-manager local -m models:/m-1" in text
    assert (machine["verdict"], machine["measured"]) == ("found", 5)
    assert machine["winner"] == ["quant=nf4", "prune=none", "runtime=torch"]


def test_where_the_looks_rule_out_all_the_closest_are_shown() -> None:
    found = Found(looks={NF4: losing(4, 1)}, dropped={NF4: "its accuracy falls by more than 1 points"}, measured=1)
    one = answer(GOAL, found)
    text = in_words(one, None)
    assert one.winner is None
    assert "no configuration can be shown to keep the limits" in text
    assert "accuracy falls by more than 1 points" in text
    assert "Not confirmed: the looks ruled out every candidate" in text
    assert "again " not in text


def test_a_candidate_whose_confirmation_failed_is_no_winner() -> None:
    looked = losing(0.1, 0.3)
    found = Found(looks={NF4: looked}, dropped={NF4: "out of memory"}, measured=2)
    one = answer(GOAL, found)
    assert one.winner is None
    assert "nf4 on torch: out of memory" in in_words(one, None)
