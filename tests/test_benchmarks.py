"""benchmarks/: every record is read by this version, and every page is that of its records."""

import ast
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from effcomp.core.code_key import needs, sources_below
from effcomp.core.interval import Interval
from effcomp.report.rows import rows, spread
from effcomp.report.sources import find_records
from tests.conftest import ROOT

BENCHMARKS = ROOT / "benchmarks"


@pytest.mark.parametrize("file", sorted(BENCHMARKS.rglob("*.jsonl")), ids=lambda file: file.name)
def test_its_records_are_read(file: Path) -> None:
    assert find_records(file)


@pytest.mark.parametrize("file", sorted(BENCHMARKS.glob("*.json")), ids=lambda file: file.name)
def test_a_result_names_the_command_that_made_it(file: Path) -> None:
    assert '"command": "python' in file.read_text()


@cache
def defined(source: Path) -> set[str]:
    """Names that a module defines or imports."""
    found = set[str]()
    for node in ast.walk(ast.parse(source.read_text())):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.ImportFrom(names=names):
                found |= {one.asname or one.name for one in names}
    return found


@pytest.mark.parametrize("script", sorted(BENCHMARKS.rglob("*.py")), ids=lambda file: file.stem)
def test_what_a_script_imports_of_effcomp_is_there(script: Path) -> None:
    sources = sources_below(ROOT / "effcomp")
    imported = [names for names in needs(script.stem, script) if names[0].startswith("effcomp.")]
    for name, *module in imported:
        assert name in sources or name.rpartition(".")[2] in defined(sources[module[0]]), name


@pytest.mark.parametrize("name", ["real_data", "cpu", "h100", "metrics_study", "four_bits", "pruning", "writing"])
def test_a_page_is_that_of_its_records(name: str) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{name}.py")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == (BENCHMARKS / f"{name}.md").read_text(), f"python benchmarks/{name}.py >.../{name}.md"


def test_the_page_on_choosing_has_the_numbers_of_the_gpu() -> None:
    section = (ROOT / "docs/choosing.md").read_text().partition("## GPUs")[2].partition("\n## ")[0]
    shown = re.findall(r"^\| `(quant=.*)` \| (.+) \|$", section, flags=re.MULTILINE)
    tables = [rows(find_records(BENCHMARKS / f"h100/{model}.jsonl")) for model in ("distilbert", "gpt2")]
    assert shown
    for choices, numbers in shown:
        name = choices.removeprefix("quant=").replace(" runtime=", " on ")
        found = [row.record.speed.by_batch_size for table in tables for row in table if row.name == name]
        assert numbers.split(" | ") == [spread(speeds[size].speedup, 1) for speeds in found for size in (1, 32)]


def test_the_page_of_the_coherence_score_has_the_numbers_of_its_benchmark() -> None:
    page = (ROOT / "docs/coherence.md").read_text()
    measured = json.loads((BENCHMARKS / "coherence.json").read_text())
    for panel in ("articles", "words_replaced", "models"):
        for name, variant in measured[panel]["variants"].items():
            score = Interval(**variant["score"])
            assert f"| {name} | {score.value:.2f} [{score.low:.2f}, {score.high:.2f}] |" in page


def test_the_page_on_intervals_has_the_numbers_of_repeated_baselines() -> None:
    page = (ROOT / "docs/how-sure.md").read_text()
    found = json.loads((BENCHMARKS / "baselines.json").read_text())["baselines"]
    for name, states in found.items():
        for state in ("quiet", "noisy"):
            one = states[state]
            if one["measurements"] < 10:
                continue
            alone, wider = (one[f"share_in_the_interval_over_{which}"] for which in ("pairs", "measurements"))
            shown = " | ".join(f"{100 * share:.1f} %" for share in (one["deviation"], alone, wider))
            assert f"| {name} | {one['measurements']} {state} | {shown} |" in page
            assert wider >= max(alone, 0.9) or name.startswith("cpu/minilm_sst2.jsonl"), "see the page"


def test_the_page_on_intervals_has_the_numbers_of_the_planted_effects() -> None:
    page = (ROOT / "docs/how-sure.md").read_text()
    found = json.loads((BENCHMARKS / "planted_effects.json").read_text())

    def percent(share: dict[str, float]) -> str:
        return "{value:.1f} % [{low:.1f}, {high:.1f}]".format(**{key: 100 * one for key, one in share.items()})

    for row in found["speed"]:
        assert row["holds_the_truth"]["value"] >= row["holds_a_repeat"]["value"] >= 0.9
        shown = f"{percent(row['holds_a_repeat'])}, {row['median_width_percent']:.1f} %"
        assert row["speedup"] != 1.1 or shown in page
    for row in found["accuracy"]:
        assert row["coverage"]["value"] >= 0.9
        assert row["drop_points"] < 0.5 or row["called_not_worse"]["value"] <= 0.05
        shown = f"| {row['drop_points']:g} | {percent(row['coverage'])} | {percent(row['called_not_worse'])} |"
        assert row["examples"] != 872 or shown in page
    for row in found["stopping"]:
        alone = row["at_95_percent_each_look"]
        assert row["corrected"]["holds_a_repeat"]["value"] >= 0.95 >= alone["holds_a_repeat"]["value"]
    assert f"take {found['stopping'][0]['mean_pairs']} pairs on average" in page
    choice = found["choice_of_the_best"]
    assert f"in {100 * choice['any_kept_at_95_percent_each']['value']:.0f} % of simulated comparisons" in page
    assert f"in {100 * choice['any_kept_with_corrected_intervals']['value']:.1f} % with" in " ".join(page.split())
