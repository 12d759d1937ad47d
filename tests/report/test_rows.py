"""Names of records: the model's and the task's own, whatever the choice of the group is called."""

from pathlib import Path

import pytest

from effcomp.core.interval import Interval
from effcomp.record import Record, label, model_called, task_called
from effcomp.report.rows import rows, spread, subject
from tests.conftest import records


@pytest.mark.parametrize(
    ("model", "choice", "called"),
    [
        ({"path": "models/my-roberta/"}, "minilm", "my-roberta"),
        ({"path": None, "repository": "org/name"}, "hub", "org/name"),
        ({"path": None}, "minilm", "minilm"),
    ],
)
def test_a_run_is_named_by_the_models_own_name(model: dict[str, str], choice: str, called: str) -> None:
    (record,) = records("nf4")
    config = record.config | {"model": model, "choices": record.choices | {"model": choice}}
    assert model_called(config) == called
    assert label(config).startswith(f"{called}-")


@pytest.mark.parametrize(
    ("task", "choice", "called"),
    [
        ({"train_files": ["data/tickets.csv.gz", "more.csv"]}, "table", "tickets+more"),
        ({"repository": "org/name"}, "hub_table", "org/name"),
        ({"train_files": ["train.tsv"]}, "sst2", "sst2"),
    ],
)
def test_a_run_is_named_by_its_own_table(task: dict[str, str], choice: str, called: str) -> None:
    (record,) = records("nf4")
    config = record.config | {"task": task, "choices": record.choices | {"task": choice}}
    assert task_called(config) == called
    assert f"-{called}-" in label(config)
    assert subject([record.model_copy(update={"config": config})]).endswith(f" on {called}")


def test_a_folder_that_is_the_current_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert model_called({"model": {"path": "."}, "choices": {"model": "minilm"}}) == tmp_path.name


def test_a_setting_that_an_older_record_lacks_is_no_part_of_a_name() -> None:
    (record,) = records("nf4")
    config = {**record.config, "device": {**record.config["device"], "cores": None, "threads": 1}}
    newer = record.model_copy(update={"config": config})
    assert [row.name for row in rows([record, newer])] == ["nf4, device.threads=None", "nf4, device.threads=1"]


def test_settings_of_the_measurement_tell_apart_what_nothing_else_does() -> None:
    (record,) = records("nf4")

    def measured(turns: int, block_size: int) -> Record:
        groups = {"bench": {"turns": turns}, "quant": {"block_size": block_size}}
        changed = {group: record.config[group] | values for group, values in groups.items()}
        return record.model_copy(update={"config": record.config | changed})

    names = [row.name for row in rows([measured(6, 32), measured(15, 64)])]
    assert names == ["nf4, quant.block_size=32", "nf4, quant.block_size=64"]
    names = [row.name for row in rows([measured(6, 32), measured(15, 32)])]
    assert names == ["nf4, bench.turns=6", "nf4, bench.turns=15"]


def test_a_number_is_shown_with_the_digits_that_its_interval_supports() -> None:
    def shown(value: float, half: float) -> str:
        return spread(Interval(value=value, low=value - half, high=value + half), digits=2)

    assert shown(13.3, 0.114) == "13.30 [13.19, 13.41]"
    assert shown(13.3, 3.21) == "13.3 [10.1, 16.5]"
    assert shown(330.7, 21.4) == "331 [309, 352]"
    assert shown(330.7, 214) == "331 [117, 545]", "no digit before the point is dropped"
    assert shown(2.0, 0) == "2.00 [2.00, 2.00]", "a number without error has all its digits"
