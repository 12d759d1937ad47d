"""conf/: every choice composes, builds, and is called what its file is called."""

from pathlib import Path

import pytest
import yaml

from effcomp.pipeline.compose import GROUPS
from effcomp.record import CHOSEN
from tests.conftest import ROOT, compose_parts

CONF = ROOT / "conf"
CHOICES = [file for group in GROUPS for file in sorted((CONF / group).glob("*.yaml"))]

NEEDED = {
    "model=hub": ["model.repository=some/model"],
    "task=table": ["task.data_dir=FOLDER", "task.train_files=[a.csv]", "task.text=[text]", "task.label=label"],
    "task=hub_table": ["task.repository=some/table", "task.text=[text]", "task.label=label"],
}
"""Settings without a default: the command names them."""


@pytest.mark.parametrize("file", CHOICES, ids=lambda file: f"{file.parent.name}={file.stem}")
def test_every_choice_builds_and_has_its_name(file: Path) -> None:
    choice = f"{file.parent.name}={file.stem}"
    parts = compose_parts(choice, *NEEDED.get(choice, []))
    assert parts.config["choices"][file.parent.name] == file.stem
    assert getattr(parts, file.parent.name).name == file.stem


def test_a_record_names_the_choice_of_every_group() -> None:
    assert set(GROUPS) == CHOSEN


EXPERIMENTS = sorted((CONF / "experiment").rglob("*.yaml"))


def named(file: Path) -> str:
    """The override that chooses an experiment: +experiment=demo, +experiment/distilbert_lm=base."""
    return f"+{file.parent.relative_to(CONF)}={file.stem}"


@pytest.mark.parametrize("file", EXPERIMENTS, ids=named)
def test_every_experiment_composes(file: Path) -> None:
    compose_parts(named(file))


@pytest.mark.parametrize("file", [file for file in EXPERIMENTS if file.with_suffix("").is_dir()], ids=named)
def test_an_experiment_sweeps_over_every_file_of_its_folder(file: Path) -> None:
    swept = yaml.safe_load(file.read_text())["hydra"]["sweeper"]["params"][f"+experiment/{file.stem}"]
    assert sorted(swept.split(",")) == sorted(part.stem for part in file.with_suffix("").glob("*.yaml"))


@pytest.mark.parametrize("part", ["base", "finetuned"])
def test_a_setting_of_training_goes_through_a_study_with_an_untrained_row(part: str) -> None:
    asked = compose_parts(f"+experiment/distilbert_lm={part}", "finetune.train_samples=64", in_product=True)
    assert asked.finetune.train_samples == (None if part == "base" else 64)
