"""The end of a run: the command that measures it again, and what a person reads."""

import shlex
from pathlib import Path

import pytest

from effcomp.pipeline.again import WIDTH, leaves, overrides, ways_on
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


def test_a_setting_that_follows_another_is_not_in_the_command() -> None:
    typed = ["quant=int4", "finetune=qat", "quant.group_size=64", "quant.embeddings=int8", "finetune.epochs=1"]
    assert overrides(build(composed(typed)).config) == typed
    typed = ["task=continuation", "task.data_dir=one"]
    assert overrides(build(composed(typed)).config) == typed
    typed += ["task.source.data_dir=another"]
    assert overrides(build(composed(typed)).config) == typed


def test_settings_that_a_choice_leaves_open_are_in_the_command() -> None:
    typed = ["model=hub", "task=hub_table", "model.repository=some/bert", "task.label=stars"]
    typed += ["task.repository=some/table", "task.text=['title','text']"]
    assert overrides(build(composed(typed)).config) == typed


def test_every_line_of_the_end_fits_a_narrow_terminal(tmp_path: Path) -> None:
    record = Record.from_json(PRUNED[0])
    text = f"{ending(record)}\n{ways_on(record, tmp_path, 'm-' + 32 * '0')}"
    lines = [line for line in text.splitlines() if str(tmp_path.name) not in line]
    assert max(map(len, lines)) <= WIDTH
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == ["result", "numbers", "again", "serve"]
    command = text[text.index("python -m") : text.index("remeasure=true")].replace("\\\n", " ")
    assert "finetune@prune.recovery=distill" in shlex.split(command)
    assert "MLFLOW_TRACKING_URI=sqlite:///mlruns/mlflow.db" in text
