"""The pages show commands that compose, and outputs that the records in benchmarks/ give."""

import io
import itertools
import re
import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from effcomp.core.text import TEXT_WIDTH
from effcomp.pipeline.compose import build, composed
from effcomp.pipeline.prepare import prepare
from effcomp.report.choose.goal import parse_goal
from effcomp.report.choose.recommend import compared, recommend
from effcomp.report.objectives import OBJECTIVES
from effcomp.report.rows import rows
from effcomp.report.sources import find_records
from effcomp.report.table.comparison import compare
from effcomp.report.table.further import further_tables
from effcomp.report.table.terminal import print_comparison, print_recommendation
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN = re.compile(r"^(?:\$ )?(?:python -m effcomp\.run|effcomp run|effcomp sweep) (.+)$", flags=re.MULTILINE)
OF_THE_READER = ("task=tickets",)
"""Choices that a page tells how to write."""


def commands(page: Path) -> list[str]:
    """Return the arguments of each run in the page's blocks of code, those on several lines joined."""
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [found for block in blocks for found in RUN.findall(block.replace("\\\n", " "))]


def overrides(command: str) -> list[str]:
    """Return the overrides of a command, of a sweep those of one configuration."""
    words = [word for word in shlex.split(command, comments=True) if "=" in word and word not in OF_THE_READER]
    parsed = OverridesParser.create().parse_overrides(words)
    return [
        f"{one.get_key_element()}={next(one.sweep_string_iterator())}" if one.is_sweep_override() else one.input_line
        for one in parsed
        if not one.get_key_element().startswith(("hydra.", "hydra/", "++hydra", "+hydra"))
    ]


@pytest.mark.parametrize(("page", "command"), [(page.name, command) for page in PAGES for command in commands(page)])
def test_the_commands_of_the_pages_compose(page: str, command: str) -> None:
    composed(overrides(command))


@pytest.mark.parametrize("page", ["README.md", "docs/own-data.md"])
def test_every_configuration_of_the_example_table_can_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    (command,) = [found for found in commands(ROOT / page) if "task.data_dir=examples" in found]
    given = [word for word in shlex.split(command) if "=" in word]
    parsed = OverridesParser.create().parse_overrides(given)
    choices = [list(one.sweep_string_iterator()) for one in parsed if one.is_sweep_override()]
    names = [one.get_key_element() for one in parsed if one.is_sweep_override()]
    fixed = [one.input_line for one in parsed if not one.is_sweep_override()]
    for choice in itertools.product(*choices):
        typed = [f"{name}={value}" for name, value in zip(names, choice, strict=True)]
        prepare(build(composed([*fixed, *typed, f"store={tmp_path}"])))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_has_the_marks_of_a_merge(page: Path) -> None:
    assert re.findall(r"^(?:<{7}|={7}|>{7})(?: .*)?$", page.read_text(), flags=re.MULTILINE) == []


def test_commands_are_found() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 12


def test_the_table_is_that_of_the_records_in_benchmarks() -> None:
    drawn, found = io.StringIO(), find_records(ROOT / "benchmarks/demo.jsonl")
    print_comparison(compare(found), further_tables(found), drawn)
    assert drawn.getvalue().strip() in (ROOT / "docs/getting-started.md").read_text()


def test_the_recommendation_is_that_of_the_records_in_benchmarks() -> None:
    drawn = io.StringIO()
    goal = parse_goal(["max_accuracy_drop=0.5", "minimize=latency_p50_ms"])
    found = rows(find_records(ROOT / "benchmarks/cpu/minilm_sst2.jsonl"))
    print_recommendation(recommend(found, goal, compared(found, goal)), drawn)
    assert max(map(len, drawn.getvalue().splitlines())) <= TEXT_WIDTH
    assert drawn.getvalue().strip() in (ROOT / "docs/recommend.md").read_text()


def test_the_page_of_recommendations_names_every_objective() -> None:
    text = (ROOT / "docs/recommend.md").read_text()
    assert [name for name in OBJECTIVES if f"`{name}`" not in text] == []
