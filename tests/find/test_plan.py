"""Plan: what runs on this machine, and what is left out."""

from dataclasses import replace
from pathlib import Path

import pytest
from transformers import BloomForCausalLM

from effcomp.core.errors import UserError
from effcomp.core.machine import device_name
from effcomp.find.expected import expected, seconds_of
from effcomp.find.plan import STORES_ZEROS, Candidate, Plan, Space, described, make_plan, scenarios
from effcomp.record import RECORD_FILE
from effcomp.record.result import SERIES_FILE
from effcomp.report.choose.goal import parse_goal
from tests.conftest import DATA, SMALL, altered, compose_parts, records
from tests.tiny_models import write_decoder


def planned(
    tiny: list[str], quants: list[str], prunes: list[str], runtimes: list[str], limits: tuple[str, ...] = ()
) -> Plan:
    def chosen(group: str, names: list[str]) -> dict:
        return {name: getattr(compose_parts(f"{group}={name}", in_product=True), group) for name in names}

    space = Space(chosen("quant", quants), chosen("prune", prunes), chosen("runtime", runtimes))
    return make_plan(compose_parts(*tiny), space, parse_goal(["minimize=latency_p50_ms", *limits]))


def test_every_pair_that_runs_is_a_candidate_but_the_baseline(tiny: list[str]) -> None:
    plan = planned(tiny, ["none", "int8_dynamic"], ["none"], ["torch", "onnxruntime"])
    assert [(one.quant, one.runtime) for one in plan.unpruned] == [
        ("int8_dynamic", "torch"),
        ("int8_dynamic", "onnxruntime"),
        ("none", "onnxruntime"),
    ], "the narrowest products first"
    assert plan.test_examples == 20
    assert plan.left_out == {}


def test_what_does_not_run_here_and_what_saves_nothing_is_left_out_with_the_reason(tiny: list[str]) -> None:
    plan = planned(
        [*tiny, "device=cpu"],
        ["none", "bf16"],
        ["none", "l1_unstructured", "structured"],
        ["onnxruntime", "cuda_graphs"],
    )
    assert [(one.quant, one.runtime) for one in plan.unpruned] == [("none", "onnxruntime")]
    assert plan.left_out["none, bf16 on cuda_graphs"].startswith("runtime=cuda_graphs does not run on")
    assert plan.left_out["prune=l1_unstructured"] == STORES_ZEROS
    assert plan.probes == [Candidate("none", "structured", "torch", "float32")]
    said = "\n".join(described(plan))
    assert "1 combinations of number format and runtime run here:\n  none          onnxruntime" in said
    assert f"prune=l1_unstructured: {STORES_ZEROS}" in " ".join(said.split())
    assert max(map(len, said.splitlines())) <= 100


def test_float32_weights_above_a_limit_of_bytes_are_left_out(tiny: list[str]) -> None:
    limit = ("max_artifact_bytes=100000",)
    plan = planned(tiny, ["none", "int8_dynamic"], ["none"], ["torch", "onnxruntime"], limit)
    assert {one.quant for one in plan.unpruned} == {"int8_dynamic"}
    assert plan.left_out["none on onnxruntime"].endswith("bytes, and max_artifact_bytes=100,000")


def test_a_test_that_is_too_small_for_its_halves_is_refused(tiny: list[str], tmp_path: Path) -> None:
    for name, rows in (("train", 8), ("test", 3)):
        (tmp_path / f"{name}.csv").write_text("text,label\n" + "".join(f"film {i},{i % 2}\n" for i in range(rows)))
    table = ["task=table", f"task.data_dir={tmp_path}", "task.train_files=[train.csv]", "task.test_files=[test.csv]"]
    words = [word for word in tiny if not word.startswith("task.")]
    with pytest.raises(UserError, match=r"1\] has 1 of 3 test examples.*: give at least 4 test examples"):
        planned([*words, *table, "task.text=[text]", "task.label=label"], ["int8_dynamic"], ["none"], ["torch"])


def test_with_training_the_plan_has_fitted_codes_and_recoveries(tiny: list[str]) -> None:
    def of(group: str, *names: str) -> dict:
        return {name: getattr(compose_parts(f"{group}={name}", in_product=True), group) for name in names}

    prunes, runtimes = of("prune", "none", "structured"), of("runtime", "torch", "onnxruntime")
    recovery = compose_parts("finetune=distill").finetune
    quants = of("quant", "int4", "bf16")
    quants["int4"] = quants["int4"].model_copy(update={"samples": 16})  # the tiny task has 42
    space = Space(quants, prunes, runtimes, recovery)
    plan = make_plan(compose_parts(*tiny), space, parse_goal(["minimize=latency_p50_ms"]))
    pair, probe = Candidate("int4", "none", "torch", "bfloat16"), Candidate("none", "structured", "torch", "float32")
    (fitted,) = [found for one, found in plan.rounded.items() if (one.quant, one.runtime) == ("int4", "torch")]
    assert [one.name for one in fitted] == [f"int4 + {method} on torch" for method in ("gptq", "awq", "learned")]
    assert fitted[0].overrides == (*pair.overrides, "quant.rounding=gptq")
    assert plan.recovered == {probe: replace(probe, settings=("finetune@prune.recovery=distill",))}
    assert plan.looks_at_most(3) == len(plan.unpruned) + 3 + 2 * 4
    said = "\n".join(described(plan))
    assert "recovered by distillation, those that break a limit: structured" in said
    assert "codes fitted to training examples (gptq, awq, learned), for those that nearly keep it: int4" in said
    refused = plan.left_out["int4 on onnxruntime, gptq, awq, learned"]
    assert refused.startswith("quant=int4 does not run on runtime=onnxruntime")
    compose_parts(*fitted[0].overrides)
    compose_parts(*plan.recovered[probe].overrides)


def test_a_large_test_has_looks_at_more_examples_in_the_plan() -> None:
    pairs = [Candidate(f"quant {number}", "none", "torch", "bfloat16") for number in range(20)]
    assert Plan(pairs, [], {}, 1500).looks_at_most(3) == 20
    assert Plan(pairs, [], {}, 5000).looks_at_most(3) == 20 + 5


def test_a_goal_of_another_kind_of_task_is_refused_before_any_look(tiny: list[str]) -> None:
    with pytest.raises(UserError, match=r"max_perplexity_increase=3: task=\w+ has no perplexity; ask for another"):
        planned(tiny, ["none"], ["none"], ["onnxruntime"], ("max_perplexity_increase=3",))
    with pytest.raises(UserError, match=r"has no bits_per_byte; ask for another number"):
        planned(tiny, ["none"], ["none"], ["onnxruntime"], ("max_bits_per_byte=1",))


def test_decoding_is_refused_before_any_look_where_nothing_is_written(
    tiny: list[str], tiny_gpt2: Path, tmp_path: Path
) -> None:
    wanted, space = ("max_decode_ms_per_token=5",), (["none"], ["none"], ["onnxruntime"])
    with pytest.raises(
        UserError, match=r"only a causal_lm has decode_ms_per_token, and this model is a sequence_class"
    ):
        planned(tiny, *space, wanted)
    text = ["task=wikitext2", f"task.data_dir={DATA}/wikitext2", "task.max_length=64", "model=gpt2", "finetune=none"]
    decoder = [*SMALL, *text, f"model.path={tiny_gpt2}"]
    assert planned(decoder, *space, wanted).unpruned
    with pytest.raises(UserError, match=r"bench\.new_tokens=0 measures no decode_ms_per_token; give 1 or more"):
        planned([*decoder, "bench.new_tokens=0"], *space, wanted)
    write_decoder(BloomForCausalLM, tiny_gpt2, tmp_path, n_layer=2, n_head=2)  # its graph has no cache
    with pytest.raises(UserError, match=r"runs here: none on onnxruntime: runtime=onnxruntime does not write token by"):
        planned([*decoder, f"model.path={tmp_path}"], *space, wanted)


def test_a_rate_within_a_p99_is_measured_in_its_scenario() -> None:
    assert scenarios(parse_goal(["maximize=accuracy", "min_server_requests_per_s=20"])) == ["server"]
    assert scenarios(parse_goal(["maximize=server_requests_per_s"])) == ["server"]
    assert scenarios(parse_goal(["maximize=accuracy", "max_peak_rss_bytes=4e8"])) == []


def test_a_pruning_is_combined_with_pairs_but_not_with_its_own_probe(tiny: list[str]) -> None:
    probe, pair = Candidate("none", "depth", "torch", "float32"), Candidate("bf16", "none", "torch", "bfloat16")
    plan = Plan([pair], [probe], {}, 20)
    assert plan.pruned(probe, [pair, Candidate("none", "none", "torch", "float32")]) == [
        Candidate("bf16", "depth", "torch", "bfloat16")
    ]


@pytest.mark.parametrize(
    ("quants", "prunes", "said"),
    [(["none"], ["none"], "no candidate runs here"), (["none"], ["structured"], "formats without pruning first")],
)
def test_a_space_without_candidates_is_refused(
    tiny: list[str], quants: list[str], prunes: list[str], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        planned(tiny, quants, prunes, ["torch"])


def test_the_time_is_unknown_before_the_first_row(tmp_path: Path) -> None:
    plan = Plan([Candidate("bf16", "none", "torch", "bfloat16")], [], {}, 20)
    looks, time = expected(plan, compose_parts(f"store={tmp_path}"), 3)
    assert looks == "at most 1 looks (bench=quick); then 3 finalists (bench=standard)"
    assert time == "expected time: unknown until the first row"


def test_the_time_of_one_earlier_run_is_counted_without_its_training(tmp_path: Path) -> None:
    (record,) = records("nf4")
    parts = compose_parts(f"store={tmp_path}", "bench=quick", "model=minilm", "task=rotten_tomatoes")
    machine_here = device_name(parts.device.resolved())
    run = altered(record, {"truth.machine.device": machine_here, "cost.training.finetune_s": 80.0})
    run = run.model_copy(update={"config": parts.config})
    folder = tmp_path / "result/one"
    folder.mkdir(parents=True)
    (folder / RECORD_FILE).write_text(run.to_json() + "\n")
    (folder / SERIES_FILE).write_text('{"started_ms": 0, "ended_ms": 100000}\n')
    assert seconds_of(parts, "quick") == pytest.approx(20)
