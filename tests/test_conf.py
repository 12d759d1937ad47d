"""conf/: every choice composes, builds, and is called what its file is called."""

from pathlib import Path

import pytest

from effcomp.compose import GROUPS
from tests.conftest import ROOT, compose_parts

CONF = ROOT / "conf"
CHOICES = [file for group in GROUPS for file in sorted((CONF / group).glob("*.yaml"))]


@pytest.mark.parametrize("file", CHOICES, ids=lambda file: f"{file.parent.name}={file.stem}")
def test_every_choice_builds_and_has_its_name(file: Path) -> None:
    parts = compose_parts(f"{file.parent.name}={file.stem}")
    assert parts.config["choices"][file.parent.name] == file.stem
    assert getattr(parts, file.parent.name).name == file.stem


@pytest.mark.parametrize("file", sorted((CONF / "experiment").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_experiment_composes(file: Path) -> None:
    compose_parts(f"+experiment={file.stem}")
