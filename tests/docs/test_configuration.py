"""docs/configuration.md names every choice and every setting, as conf/ and the fields have them."""

import pytest
import yaml

from effcomp.core.packages import CONF
from effcomp.docs.configuration import page
from effcomp.pipeline.compose import GROUPS, OUTSIDE
from effcomp.pipeline.settings import choice_names, describe_choices
from tests.conftest import ROOT

CHOICES = [(group, name) for group in GROUPS for name in choice_names(group)]


def test_the_page_is_current() -> None:
    assert (ROOT / "docs/configuration.md").read_text() == page(), "run `make docs`"


def test_the_page_names_every_choice() -> None:
    text = (ROOT / "docs/configuration.md").read_text()
    files = [file for file in CONF.glob("*/*.yaml") if file.parent.name != "hydra"]
    assert len(files) > 50
    for file in files:
        assert f"| `{file.stem}` |" in text, f"{file.parent.name}={file.stem}"


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_every_choice_and_every_setting_has_a_meaning(group: str, name: str) -> None:
    choice = describe_choices(group)[name]
    assert choice.meaning, "a comment at the top of the file"
    assert [one.key for one in choice.settings if not one.meaning] == [], "a docstring below the field"


def test_settings_outside_the_groups_are_those_of_the_config() -> None:
    config = yaml.safe_load((CONF / "config.yaml").read_text())
    assert config.keys() - {"defaults", "hydra"} == OUTSIDE.keys()
