"""Answer: intervals that are corrected for the number of finalists, the verdict, and what lost."""

import json
from dataclasses import replace
from pathlib import Path

from effcomp.core.interval import Interval
from effcomp.find.answer import WinnersRun, answer, as_json, in_words
from effcomp.find.plan import Candidate, Plan
from effcomp.find.search import Findings
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
    return record.model_copy(update={"config": record.config | {"test_slice": [0.5, 1]}})


def around(value: float) -> Interval:
    return Interval(value=value, low=0.98 * value, high=1.02 * value)


def test_a_limit_that_one_test_would_keep_may_not_be_kept_among_three() -> None:
    found = {NF4: losing(0.2, 0.7)}
    assert answer(GOAL, Findings(finals=found, looks=found, tests=1)).winners == [NF4]
    among_three = answer(GOAL, Findings(finals=found, looks=found, tests=3))
    assert (among_three.winners, among_three.verdict) == ([], "undecided")
    assert "would decide" in among_three.recommendation.others[0]
    text = in_words(among_three, [])
    assert (
        "The finalists were measured on 1,500 test examples that the search did not use; none is shown to keep" in text
    )
    assert "Confirmed" not in text


def test_the_answer_has_the_verdict_the_losers_and_the_next_commands(tmp_path: Path) -> None:
    kept, lost = losing(0.1, 0.3), losing(0.1, 3)
    found = Findings({NF4: kept, FP4: lost}, {NF4: kept, FP4: lost}, {BF16: "it failed"}, measured=5, tests=2)
    one = answer(GOAL, found)
    run = WinnersRun(kept, tmp_path, "m-1")
    text = in_words(one, [run])
    assert (one.winners, one.verdict) == ([NF4], "found")
    assert "recommended for minimize=latency_p50_ms max_accuracy_drop=1" in text
    assert "intervals of 97.50 %: 95 % corrected for 2 configurations" in text
    assert "Confirmed on 1,500 test examples that the search did not use." in text
    assert "not confirmed:\n  bf16 on torch: it failed" in text
    assert "\nagain     python -m effcomp.run quant=nf4" in text
    machine = json.loads(as_json(one, GOAL, Plan([NF4, FP4, BF16], [], {}, 1500), found, [run]))
    assert "mlflow models serve --env-manager local -m models:/m-1" in text
    assert (machine["verdict"], machine["measured"]) == ("found", 5)
    overrides = ["quant=nf4", "prune=none", "runtime=torch"]
    assert machine["winners"] == [{"name": "nf4 on torch", "overrides": overrides, "run": str(tmp_path)}]


def test_where_every_candidate_breaks_a_limit_for_sure_the_verdict_says_so() -> None:
    looks = {NF4: losing(6, 1), FP4: losing(4, 1)}
    dropped = dict.fromkeys(looks, "its accuracy falls by more than 1 point")
    one = answer(GOAL, Findings(looks=looks, dropped=dropped, measured=2))
    text = in_words(one, [])
    assert (one.winners, one.verdict) == ([], "broken")
    assert "none  none of 2 configurations keeps max_accuracy_drop=1" in text
    assert one.recommendation.others[0].endswith("its accuracy falls by more than 1 point: -4.0 [-5.0, -3.0]")
    assert "Not confirmed: the looks ruled out every candidate" in text
    assert "again " not in text


def test_a_candidate_without_a_measurement_leaves_the_verdict_open() -> None:
    found = Findings(looks={NF4: losing(4, 1)}, dropped={NF4: "its accuracy falls", FP4: "out of memory"})
    assert answer(GOAL, found).verdict == "undecided"


def test_several_looks_at_a_candidate_have_to_rule_it_out_together() -> None:
    look = {NF4: losing(2, 0.95)}
    assert answer(GOAL, Findings(looks=look)).verdict == "broken"
    assert answer(GOAL, Findings(looks=look, looks_at_most=3)).verdict == "undecided"


def test_the_size_of_a_test_that_would_decide_counts_both_halves() -> None:
    """0.9 points on either side of 0.2 with 1,500 examples of one half: 0.8 with about 1,900."""
    found = {NF4: losing(0.2, 0.9)}
    one = answer(GOAL, Findings(finals=found, looks=found))
    assert one.verdict == "undecided"
    assert one.recommendation.best == (
        "no configuration can be shown to keep max_accuracy_drop=1; the closest is nf4: a test of about 3,800 examples "
        "would decide, of which a half confirms"
    )
    few = altered(losing(0.2, 0.9), {"config": losing(0.2, 0.9).config | {"test_slice": [0.0, 0.08]}})
    looked = answer(GOAL, Findings(looks={NF4: few}, dropped={NF4: "the time was used up"}))
    assert "a test of about 3,800 examples" in looked.recommendation.best, "the look's own share does not count"
    found = {NF4: losing(1.2, 0.9)}
    best = answer(GOAL, Findings(finals=found, looks=found)).recommendation.best
    assert best.endswith("more examples would hardly show that it keeps it")


def test_the_closest_of_two_that_differ_in_their_codes_is_named_with_them() -> None:
    found = {}
    for method, points in (("gptq", 1.4), ("awq", 1.2)):
        record = losing(points, 0.9)
        fitted = record.config | {"quant": record.config["quant"] | {"rounding": method}}
        found[replace(NF4, settings=(f"quant.rounding={method}",))] = record.model_copy(update={"config": fitted})
    best = answer(GOAL, Findings(finals=found, looks=found)).recommendation.best
    assert "; the closest is nf4, quant.rounding=awq, and" in best


def test_a_candidate_whose_confirmation_failed_is_no_winner() -> None:
    looked = losing(0.1, 0.3)
    found = Findings(looks={NF4: looked}, dropped={NF4: "out of memory"}, measured=2)
    one = answer(GOAL, found)
    assert (one.winners, one.verdict) == ([], "undecided")
    assert "nf4 on torch: out of memory" in in_words(one, [])
    assert one.recommendation.best.endswith("nf4, which keeps them in its look: no confirmation came through")


def test_the_answer_for_two_objectives_is_a_front_with_the_next_commands_of_each(tmp_path: Path) -> None:
    goal = parse_goal(["minimize=[latency_p50_ms,artifact_bytes]"])
    (nf4,) = records("nf4")
    fast, small = (
        altered(nf4, {"speed.speedup": around(times), "cost.size.artifact_bytes": size, "truth.time": time})
        for times, size, time in ((3.0, 9_000_000, "a"), (2.0, 5_000_000, "b"))
    )
    beaten = altered(nf4, {"speed.speedup": around(1.0), "cost.size.artifact_bytes": 9_000_000, "truth.time": "c"})
    finals = {NF4: fast, FP4: small, BF16: beaten}
    one = answer(goal, Findings(finals=finals, looks=finals, tests=3))
    assert one.winners == [NF4, FP4]
    text = in_words(one, [WinnersRun(fast, tmp_path / "0", None), WinnersRun(small, tmp_path / "1", None)])
    assert text.count("\nagain ") == 2
    assert all(f"\n\n{winner.name}:\n" in text for winner in (NF4, FP4))
    assert text.count("\n*     ") == 2
