"""Search over records of real runs that are given other numbers: what it looks at, drops and confirms."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from effcomp.core.errors import UserError
from effcomp.core.interval import Interval
from effcomp.find.plan import Candidate, Plan
from effcomp.find.search import Search, Trial
from effcomp.find.slices import CONFIRMED, SCREENED, look_slices
from effcomp.record import Floor, Record
from effcomp.report.choose.goal import parse_goal
from tests.conftest import altered, records

GOAL = parse_goal(["minimize=latency_p50_ms", "max_accuracy_drop=1"])
QUANTS = ("int8_dynamic", "bf16", "nf4", "int3", "fp4")
PAIRS = [Candidate(name, "none", "torch", "bfloat16") for name in QUANTS]
PROBE = Candidate("none", "structured", "torch", "float32")


BASELINE_MS = 11.0


class Measured:
    """Records of candidates by their speed-up and their loss of accuracy in points, and the trials that were asked."""

    def __init__(self, **numbers: tuple[float, float]) -> None:
        self.numbers, self.trials = numbers, list[Trial]()

    def __call__(self, trial: Trial) -> Record | str:
        self.trials.append(trial)
        (nf4,) = records("nf4")
        one = trial.candidate
        settings = [word.rpartition("=")[2] for word in one.settings]
        speedup, points = self.numbers["_".join([one.quant, *([one.prune] if one.prune != "none" else []), *settings])]
        ends, latency_ms = (speedup / 1.02, speedup * 1.02), BASELINE_MS / speedup
        record: Record = altered(
            nf4,
            {
                "speed.speedup": Interval(value=speedup, low=ends[0], high=ends[1]),
                "versus_baseline.accuracy_difference": Interval(
                    value=-points / 100, low=-points / 100 - 0.005, high=-points / 100 + 0.005
                ),
                "speed.latency_p50_ms": Interval(value=latency_ms, low=latency_ms, high=latency_ms),
                "truth.artifact": one.name,
            },
        )
        choices = record.choices | {"quant": one.quant, "prune": one.prune, "runtime": one.runtime}
        return record.model_copy(
            update={"config": record.config | {"choices": choices, "test_slice": list(trial.ends)}}
        )

    @property
    def looked(self) -> list[str]:
        return [trial.candidate.name for trial in self.trials if not trial.final]

    @property
    def confirmed(self) -> list[str]:
        return [trial.candidate.name for trial in self.trials if trial.final]


def searched(measured: Callable[[Trial], Record | str], plan: Plan, seconds: float | None = None) -> Search:
    search = Search(GOAL, measured, seconds)
    search.run(plan)
    return search


def test_a_small_test_has_one_look_and_a_large_one_several() -> None:
    assert look_slices(1500) == [SCREENED]
    assert look_slices(5000) == [(0.0, 0.08), SCREENED]
    assert look_slices(50_000) == [(0.0, 0.008), (0.0, 0.032), (0.0, 0.128), SCREENED]


def test_looks_and_confirmations_share_no_part_of_the_test() -> None:
    measured = Measured(int8_dynamic=(3, 0), bf16=(2, 0), nf4=(1, 0), int3=(1, 0), fp4=(1, 0))
    searched(measured, Plan(PAIRS, [], {}, 5000))
    assert {trial.ends for trial in measured.trials if trial.final} == {CONFIRMED}
    assert all(trial.ends[1] <= CONFIRMED[0] for trial in measured.trials if not trial.final)


def test_what_breaks_a_limit_is_dropped_and_at_most_three_are_confirmed() -> None:
    measured = Measured(int8_dynamic=(5, 4), bf16=(3, 0.2), nf4=(2.5, 0), int3=(2.8, 0.4), fp4=(2.6, 0.3))
    search = searched(measured, Plan(PAIRS, [], {}, 1500))
    assert len(measured.looked) == 5
    assert "accuracy falls by more than 1 point" in search.found.dropped[PAIRS[0]]
    assert len(measured.confirmed) == search.found.tests == 3
    assert "bf16 on torch" in measured.confirmed
    assert set(search.found.finals) | set(search.found.dropped) == set(PAIRS), "each has a confirmation or a reason"


def test_what_is_slower_than_a_safe_one_is_not_confirmed() -> None:
    measured = Measured(int8_dynamic=(5, -3), bf16=(3, 0.2), nf4=(2.5, 0), int3=(2.8, 0.4), fp4=(2.6, 0.3))
    search = searched(measured, Plan(PAIRS, [], {}, 1500))
    assert measured.confirmed == ["int8_dynamic on torch"]
    assert search.found.dropped[PAIRS[1]] == "slower than one that keeps the limits almost certainly"
    assert search.found.tests == 1


def test_a_slower_one_is_dropped_by_intervals_that_hold_for_all_looks_at_it() -> None:
    """The intervals of one look, wider for records of an earlier version, do not overlap; those of two do."""
    for test_examples, dropped in ((1500, True), (5000, False)):
        measured = Measured(int8_dynamic=(3, -3), bf16=(2.825, -3))
        search = searched(measured, Plan(PAIRS[:2], [], {}, test_examples))
        assert (PAIRS[1] in search.found.dropped) == dropped


def test_a_look_at_fewer_examples_counts_where_the_time_ends_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = Measured(int8_dynamic=(5, -3), bf16=(3, 0.2), nf4=(2.5, 0), int3=(2.8, 0.4), fp4=(2.6, 0.3))
    monkeypatch.setattr(time, "monotonic", lambda: float(len(numbers.trials)))  # a trial takes a second
    searched(numbers, Plan(PAIRS, [], {}, 5000), seconds=7.5)  # five looks, and three times that of one are kept
    assert len(numbers.looked) == len(PAIRS), "the second look has no time left"
    assert len(numbers.confirmed) == 1


def test_a_rate_that_a_look_has_exceeded_drops_nobody() -> None:
    """bf16 products would take as long as the whole call of another candidate."""
    measured = Measured(int8_dynamic=(5, -3), bf16=(9, -3), nf4=(1, 0), int3=(1, 0), fp4=(1, 0))
    floor = {"operations": 10**9, "bytes": 1, "floor_ms": 1.0, "share": 1.0}

    def with_floor(trial: Trial, exceeded: bool) -> Record | str:
        found = measured(trial)
        assert isinstance(found, Record)
        size = next(iter(found.speed.by_batch_size))
        changes: dict[str, Any] = {"truth.machine.rates": {"bfloat16": 1e11}}
        rows = dict(found.speed.by_batch_size)
        rows[size] = rows[size].model_copy(update={"floor": Floor(**floor, rates_exceeded=exceeded)})
        return altered(found, changes | {"speed.by_batch_size": rows})

    for exceeded in (False, True):
        search = searched(lambda trial, said=exceeded: with_floor(trial, said), Plan(PAIRS, [], {}, 1500))
        ruled_out = [one for one, reason in search.found.dropped.items() if "products take" in reason]
        assert bool(ruled_out) != exceeded


def test_a_pruning_that_breaks_a_limit_alone_is_not_combined() -> None:
    numbers = {"int8_dynamic": (3.0, 0.0), "bf16": (2.0, 0.0)}
    plan = Plan(PAIRS[:2], [PROBE], {}, 1500)
    harmful = Measured(**numbers, none_structured=(1.5, 9))
    searched(harmful, plan)
    assert [name for name in harmful.looked if "structured" in name] == ["none + structured on torch"]
    harmless = Measured(**numbers, none_structured=(2.9, 0), int8_dynamic_structured=(6, 0), bf16_structured=(4, 0))
    searched(harmless, plan)
    assert "int8_dynamic + structured on torch" in harmless.looked
    assert "int8_dynamic + structured on torch" in harmless.confirmed


def test_prunings_are_combined_with_the_best_formats_even_where_they_are_faster_than_all() -> None:
    names = ("structured", "depth", "vocabulary")
    probes = [replace(PROBE, prune=name) for name in names]
    numbers = {f"none_{name}": (5.0, 0.0) for name in names} | {f"bf16_{name}": (9.0, 0.0) for name in names}
    measured = Measured(bf16=(2, 0), **numbers)
    searched(measured, Plan([PAIRS[1]], probes, {}, 1500))
    assert [name for name in measured.looked if name.startswith("bf16 +")] == [
        f"bf16 + {name} on torch" for name in names
    ]


def test_with_training_codes_are_fitted_where_they_may_win_and_broken_prunings_are_recovered() -> None:
    fitted = {pair: [replace(pair, settings=("quant.rounding=gptq",))] for pair in PAIRS[3:]}
    recovered = replace(PROBE, settings=("finetune@prune.recovery=distill",))
    plan = Plan([PAIRS[0], *PAIRS[3:]], [PROBE], {}, 1500, {PROBE: recovered}, fitted)
    measured = Measured(
        int8_dynamic=(3, -3),  # keeps the limit for sure
        int3=(5, 2),  # breaks it, and would be faster
        fp4=(1.5, 2),  # breaks it, and is slower
        int3_gptq=(5, -3),
        none_structured=(4, 9),
        none_structured_distill=(4, -3),
        int3_structured_gptq_distill=(8, 0),
    )
    search = searched(measured, plan)
    assert [name for name in measured.looked if "+" in name] == [
        "none + structured on torch",
        "none + structured + distill on torch",
        "int3 + gptq on torch",
        "int3 + structured + gptq + distill on torch",
    ]
    assert "int3 + structured + gptq + distill on torch" in measured.confirmed
    assert search.found.dropped[PROBE].startswith("its accuracy falls")
    assert measured.trials[-1].candidate.settings, "its overrides go into the run"


def floor_of_float32_ms() -> float:
    """Return the time that the products of the records' model take in float32 at least, for one text."""
    (nf4,) = records("nf4")
    speed, rates = nf4.speed.by_batch_size[1], nf4.truth.machine.rates
    assert speed.floor is not None and rates is not None
    return 1e3 * speed.floor.operations / rates["float32"]


def test_a_floor_above_a_measured_time_saves_the_look() -> None:
    slow = Candidate("none", "none", "onnxruntime", "float32")
    floor_ms = floor_of_float32_ms()
    measured = Measured(int8_dynamic=(2 * BASELINE_MS / floor_ms, -3), none=(1.0, 0))
    search = searched(measured, Plan([PAIRS[0], slow], [], {}, 1500))
    assert measured.looked == ["int8_dynamic on torch"]
    assert search.found.dropped[slow].startswith("its float32 products take")


def test_the_reason_for_no_look_is_the_time_of_one_that_keeps_the_limits() -> None:
    slow = Candidate("none", "none", "onnxruntime", "float32")
    floor_ms = floor_of_float32_ms()
    measured = Measured(int8_dynamic=(2 * BASELINE_MS / floor_ms, -3), bf16=(4 * BASELINE_MS / floor_ms, 0.8))
    search = searched(measured, Plan([*PAIRS[:2], slow], [], {}, 1500))
    taken_ms = float(search.found.dropped[slow].split()[-2])
    assert taken_ms > 0.4 * floor_ms, "not that of bf16, which is faster and may break the limit"


def test_looks_end_where_the_rest_of_the_time_is_a_confirmation_s() -> None:
    def slow(trial: Trial) -> Record | str:
        time.sleep(0.05)
        return measured(trial)

    measured = Measured(int8_dynamic=(3, 0), bf16=(3, 0), nf4=(3, 0), int3=(3, 0), fp4=(3, 0))
    search = searched(slow, Plan(PAIRS, [], {}, 1500), seconds=0.1)
    assert len(measured.looked) == 2, "the first look, which trains the model, does not tell the time of another"
    assert len(measured.confirmed) == 1
    assert search.found.dropped[PAIRS[2]] == "the time was used up before a look at it"


def test_a_candidate_that_fails_is_dropped_and_the_others_go_on() -> None:
    def failing(trial: Trial) -> Record | str:
        return "out of memory" if trial.candidate == PAIRS[0] else measured(trial)

    measured = Measured(bf16=(2, 0))
    search = searched(failing, Plan(PAIRS[:2], [], {}, 1500))
    assert search.found.dropped == {PAIRS[0]: "out of memory"}
    assert list(search.found.finals) == [PAIRS[1]]


def test_an_objective_that_the_task_does_not_have_is_refused_after_the_first_look() -> None:
    measured = Measured(int8_dynamic=(2, 0))
    with pytest.raises(UserError, match="rotten_tomatoes has no perplexity"):
        Search(parse_goal(["minimize=perplexity"]), measured, None).run(Plan(PAIRS[:1], [], {}, 1500))


def test_a_candidate_whose_runtime_does_not_decode_is_dropped_where_decoding_counts() -> None:
    search = Search(parse_goal(["minimize=decode_ms_per_token"]), Measured(int8_dynamic=(2, 0)), None)
    assert search.run(Plan(PAIRS[:1], [], {}, 1500)).dropped == {PAIRS[0]: "its decode was not measured"}
