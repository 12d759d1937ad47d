"""The README's own commands, typed in a folder that holds what git holds and no .venv."""

import io
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from effcomp.record import Record
from effcomp.report.choose.goal import parse_goal
from effcomp.report.choose.recommend import recommend
from effcomp.report.objectives import OBJECTIVES
from effcomp.report.rows import rows
from effcomp.report.sources import find_records
from effcomp.report.table.terminal import print_recommendation, print_table
from tests.conftest import ROOT, SMALL, run_effcomp

COMMANDS = re.findall(r"^\$ (.+)$", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
TOY = ["finetune.train_samples=64", "finetune.epochs=1", "task.test_size=40", *SMALL]
"""Real weights and real data, a few of each: what is tested is that the command works as it is written."""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def test_the_readme_shows_the_commands_that_matter() -> None:
    for command in ("make demo", "make test", "make ui", "python -m effcomp.run"):
        assert command in COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_works(command: str, clone: Path) -> None:
    words = command.split()
    if words[0] in {"make", "source"}:
        if words[0] == "make":
            subprocess.run(["make", "--dry-run", *words[1:]], cwd=clone, check=True, capture_output=True)
        return
    assert words[:2] == ["python", "-m"], "the README names no other program"
    if words[2] == "effcomp.run" and "--help" not in words:
        words += TOY
    done = run_effcomp(*words[3:], cwd=clone, module=words[2], root=clone)
    assert done.code == 0, done.stderr
    if words[2] == "effcomp.run" and "--help" not in words:
        Record.from_json(done.stdout.splitlines()[-1])


def test_the_table_is_that_of_the_records_in_benchmarks() -> None:
    drawn = io.StringIO()
    print_table(find_records(ROOT / "benchmarks/demo.jsonl"), drawn)
    assert drawn.getvalue().strip() in (ROOT / "README.md").read_text()


def test_the_recommendation_is_that_of_the_records_in_benchmarks() -> None:
    drawn = io.StringIO()
    goal = parse_goal(["max_accuracy_drop=0.5", "minimize=latency_p50_ms"])
    print_recommendation(recommend(rows(find_records(ROOT / "benchmarks/cpu/minilm_sst2.jsonl")), goal), drawn)
    assert drawn.getvalue().strip() in (ROOT / "README.md").read_text()


def test_the_readme_names_every_objective() -> None:
    text = (ROOT / "README.md").read_text()
    assert [name for name in OBJECTIVES if f"`{name}`" not in text] == []
