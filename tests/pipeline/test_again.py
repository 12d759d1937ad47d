"""The end of a run: the command that measures it again, and what a person reads."""

import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from effcomp.core.text import TEXT_WIDTH
from effcomp.pipeline.again import leaves, on_more_examples, overrides, ways_on, ways_on_from_sweep, written
from effcomp.pipeline.compose import build, composed
from effcomp.record import Record, settings
from effcomp.report.table.ending import ending
from tests.conftest import ROOT, records

PRUNED = (ROOT / "benchmarks/cpu/minilm_sst2_pruned.jsonl").read_text().splitlines()


@pytest.mark.parametrize(
    "record", [*records("none", "nf4"), Record.from_json(PRUNED[0])], ids=["none", "nf4", "pruned"]
)
def test_the_command_composes_the_config_that_was_measured(record: Record) -> None:
    again = leaves(settings(build(composed(overrides(record.config))).config))
    asked = leaves(settings(record.config))
    own = ("store", "tracking", "remeasure")
    assert {
        name: value
        for name, value in again.items()
        if name in asked and asked[name] != value and not name.startswith(own)
    } == {}


def test_a_setting_with_a_list_or_a_none_is_written_as_hydra_reads_it() -> None:
    typed = ["bench.batch_sizes=[1,8]", "device.threads=2", "bench.fixed_length=64", "model.path=null"]
    config = build(composed(typed)).config
    assert overrides(config) == ["device.threads=2", "bench.batch_sizes=[1,8]", "bench.fixed_length=64"]


def test_labels_that_were_named_are_in_the_command() -> None:
    typed = ["task=table", "task.data_dir=.", "task.label=team", "task.text=[subject,body]", "task.train_files=[a.csv]"]
    typed += ["task.labels={billing:invoices,network:lines}", "task.test_share=0.3"]
    assert sorted(overrides(build(composed(typed)).config)) == sorted(typed)


def test_a_setting_that_follows_another_is_not_in_the_command() -> None:
    typed = ["quant=int4", "finetune=qat", "quant.group_size=64", "quant.embeddings=int8", "finetune.epochs=1"]
    assert overrides(build(composed(typed)).config) == typed
    typed = ["task=continuation", "task.data_dir=one"]
    assert overrides(build(composed(typed)).config) == typed
    typed += ["task.source.data_dir=another"]
    assert overrides(build(composed(typed)).config) == typed


def test_settings_that_a_choice_leaves_open_are_in_the_command() -> None:
    typed = ["model=hub", "task=hub_table", "model.repository=some/bert", "task.label=stars"]
    typed += ["task.repository=some/table", "task.text=[title,text]"]
    assert overrides(build(composed(typed)).config) == typed


@pytest.mark.parametrize("column", ["2024", "1e5", "true", "null", "a,b", "stars (1-5)", "stars", "Größe"])
def test_a_text_that_hydra_would_read_otherwise_is_in_quotes(column: str) -> None:
    typed = ["task=hub_table", "task.repository=some/table", "task.text=[text]", f'task.label="{column}"']
    config = build(composed(typed)).config
    assert config["task"]["label"] == column
    assert build(composed(overrides(config))).config == config


def test_a_list_and_a_dictionary_are_written_as_hydra_reads_them() -> None:
    lists = (["subject", "body"], ["train.csv"], ["a b"], ["true"], ["1"], [], [1, 8], ["it's"], ['a "b"', "Grüße"])
    for value in (*lists, {"billing": "b x", "5 stars, or more": "good", "a=b:c": "1"}):
        (read,) = OverridesParser.create().parse_overrides([f"key={written(value)}"])
        assert read.value() == value
    assert written(["subject", "body.csv"]) == "[subject,body.csv]"


def test_few_examples_are_followed_by_the_command_of_a_cross_validation(tmp_path: Path) -> None:
    (decided,) = records("nf4")
    versus = decided.versus_baseline.model_copy(update={"verdict": "undecided"})
    data = decided.truth.data.model_copy(update={"test_examples": 27})
    few = decided.model_copy(
        update={"versus_baseline": versus, "truth": decided.truth.model_copy(update={"data": data})}
    )
    assert "decide it 27 test examples" in (text := ways_on(few, tmp_path, None))
    assert "fold=range(5)" in shlex.split(text.replace("\\\n", " "))
    assert on_more_examples([few, decided], ["quant=nf4", "test_slice=[0.5,1]"])[0][1].endswith(
        "python -m effcomp.run -m quant=nf4 'fold=range(5)'"
    )
    assert on_more_examples([decided, few.model_copy(update={"config": {**few.config, "fold": 0}})], []) == []
    by_language = few.quality.model_copy(update={"per_group": {"de": None}})
    assert on_more_examples([few.model_copy(update={"quality": by_language})], []) == []


def test_every_line_of_the_end_fits_a_narrow_terminal(tmp_path: Path) -> None:
    record = Record.from_json(PRUNED[0])
    text = f"{ending(record)}\n{ways_on(record, tmp_path, 'm-' + 32 * '0')}"
    lines = [line for line in text.splitlines() if str(tmp_path.name) not in line]
    assert max(map(len, lines)) <= TEXT_WIDTH
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == ["result", "numbers", "again", "serve"]
    command = text[text.index("python -m") : text.index("remeasure=true")].replace("\\\n", " ")
    assert "finetune@prune.recovery=distill" in shlex.split(command)
    assert "MLFLOW_TRACKING_URI=sqlite:///mlruns/mlflow.db" in text


def test_the_next_commands_of_a_sweep_fit_a_hundred_columns() -> None:
    folder = Path("multirun/2026-11-30/04-16-04-091085")
    text = ways_on_from_sweep(records("nf4"), folder, ["quant=none,nf4"])
    assert f"effcomp recommend {folder} max_accuracy_drop=1" in text
    assert max(map(len, text.splitlines())) <= TEXT_WIDTH
