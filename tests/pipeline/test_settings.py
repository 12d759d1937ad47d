"""A setting is described by its field, in words that a person types by."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from effcomp.pipeline.settings import comment, describe_choices, find_settings, values_of


class Some(BaseModel):
    share: Annotated[float, Field(ge=0, lt=1)]
    count: Annotated[int, Field(ge=1)] | None
    names: list[str]
    scores: list[Literal["a", "b"]]
    folder: Path | None
    table: dict[str, str]
    on: bool


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("share", "number, at least 0, below 1"),
        ("count", "whole number, at least 1 or null"),
        ("names", "list of text"),
        ("scores", "list of (`a` or `b`)"),
        ("folder", "path or null"),
        ("table", "mapping"),
        ("on", "true or false"),
    ],
)
def test_values_are_said_in_words(field: str, words: str) -> None:
    assert values_of(Some.model_fields[field]) == words


def test_a_setting_is_found_in_each_choice_that_has_it() -> None:
    found = dict(find_settings("quant.block_size"))
    assert found.keys() == {"quant=fp4", "quant=nf4"}
    assert found["quant=nf4"].values == "`64` or `128`"
    assert found["quant=nf4"].default == 64
    assert "scale" in found["quant=nf4"].meaning


def test_a_setting_outside_the_groups_is_found() -> None:
    ((choice, seed),) = find_settings("seed")
    assert (choice, seed.default) == ("", 0)


def test_an_unknown_key_is_found_nowhere() -> None:
    assert find_settings("quant.blocksize") == find_settings("nothing.at_all") == []


def test_settings_of_a_nested_component_have_its_path() -> None:
    keys = [one.key for one in describe_choices("prune")["structured"].settings]
    assert {"prune.ratio", "prune.recovery.epochs"} <= set(keys)
    on_hub = {one.key: one.default for one in describe_choices("task")["sst2"].settings}
    assert on_hub["task.hub.name"] == "stanfordnlp/sst2"
    assert "task.hub" not in on_hub


def test_the_comment_of_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "choice.yaml").write_text("# @package _global_\n# First,\n# second.\nname: choice\n# not this\n")
    assert comment(tmp_path / "choice.yaml") == "First, second."
