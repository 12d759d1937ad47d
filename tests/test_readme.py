"""The README's own commands, typed in a folder that holds what git holds and no .venv."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from effcomp.docs import demo
from effcomp.record import Record
from effcomp.report.rows import rows
from effcomp.report.sources import find_records
from tests.conftest import ROOT, SMALL, run_effcomp

COMMANDS = re.findall(r"^\$ (.+)$", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
TOY = ["finetune.train_samples=64", "finetune.epochs=1", "task.test_size=40", *SMALL, "bench.batch_sizes=[1]"]
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


def test_the_readme_can_be_read_in_minutes() -> None:
    assert 700 <= len((ROOT / "README.md").read_text().split()) <= 900


def test_the_readme_shows_the_commands_that_matter() -> None:
    for command in ("make install", "make demo", "make test", "make ui"):
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


def test_the_table_and_the_picture_are_those_of_the_records_in_benchmarks() -> None:
    records = find_records(ROOT / demo.RECORDS)
    assert demo.block(records) in (ROOT / "README.md").read_text(), "run `make docs`"
    drawn = (ROOT / demo.PICTURE).read_text()
    assert [row.name for row in rows(records) if f">{row.name}<" not in drawn] == [], "run `make docs`"


def test_the_python_works(clone: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    small = code.replace('(["quant=', f'([*{[*TOY, "tracking=none"]!r}, "quant=')
    assert small.count("finetune.train_samples") == 2
    small = small.replace("none,bf16", "none,int8_dynamic")  # which the line before has measured
    (clone / "readme.py").write_text(small)
    ran = run_effcomp(cwd=clone, module="readme.py")
    assert ran.code == 0, ran.stderr
    assert "'label': " in ran.stdout.splitlines()[-1]
