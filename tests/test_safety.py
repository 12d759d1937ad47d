"""effcomp never runs code from a file, loads what nobody pinned, follows a path out, or repeats a secret."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from effcomp.core.store import Store, find_fault
from effcomp.runtimes.torch import Torch
from effcomp.tracking.served import ServedModel
from tests.conftest import ROOT, run_effcomp

SOURCES = sorted(
    file for folder in ("effcomp", "hydra_plugins", "benchmarks") for file in (ROOT / folder).rglob("*.py")
)
PICKLING = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
NO_WEIGHTS = {"AutoConfig", "AutoTokenizer", "BitNetConfig"}
"""Classes whose `from_pretrained` reads JSON."""
CONF = sorted((ROOT / "conf").rglob("*.yaml"))
SECRET = "s3cret-word"


def faults(tree: ast.AST) -> Iterator[str]:
    """Yield the parts of a source that unpickle, or could run code that comes with a model."""
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        yield from (f"line {node.lineno}: imports {name}" for name in names if name.partition(".")[0] in PICKLING)
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if "trust_remote_code" in given or given.get("allow_pickle", "False") != "False":
            yield f"line {node.lineno}: {ast.unparse(node)}"
        if called in {"torch.load", "torch.jit.load"} and given.get("weights_only") != "True":
            yield f"line {node.lineno}: {called} without weights_only=True"
        owner, _, method = called.rpartition(".")
        reads_weights = method == "from_pretrained" and owner not in NO_WEIGHTS and "gguf_file" not in given
        if reads_weights and given.get("use_safetensors") != "True":
            yield f"line {node.lineno}: {called} without use_safetensors=True"


def test_no_source_unpickles_or_trusts_code_that_comes_with_a_model() -> None:
    assert [f"{file}: {fault}" for file in SOURCES for fault in faults(ast.parse(file.read_text()))] == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(file)",
        "torch.load(file, weights_only=False)",
        "np.load(file, allow_pickle=True)",
        "AutoTokenizer.from_pretrained(name, trust_remote_code=True)",
        "AutoModel.from_pretrained(name)",
    ],
)
def test_a_line_that_unpickles_is_found(line: str) -> None:
    assert len(list(faults(ast.parse(line)))) == 1


def repositories(node: object) -> Iterator[dict[str, object]]:
    """Every place in a config that names a repository of the Hub."""
    if isinstance(node, dict):
        if node.get("repository", "???") != "???":  # else the command names it
            yield node
        if isinstance(node.get("hub"), dict):
            yield node["hub"]
        for value in node.values():
            yield from repositories(value)


def test_every_repository_of_the_hub_is_pinned_to_a_commit() -> None:
    named = [(file, place) for file in CONF for place in repositories(yaml.safe_load(file.read_text()))]
    assert len(named) > 8
    for file, place in named:
        assert re.fullmatch("[0-9a-f]{40}", str(place.get("revision"))), file
    written = re.findall(r"revision: \w{5,}", "".join(file.read_text() for file in CONF))
    assert len(written) == len(named), "no other place names a revision"


def test_every_package_that_carries_weights_or_data_is_pinned_by_hash() -> None:
    pinned = re.findall(
        r"^([\w-]+==[\w.]+) \\\n    --hash=sha256:[0-9a-f]{64}$",
        (ROOT / "requirements-data.txt").read_text(),
        flags=re.MULTILINE,
    )
    assert len(pinned) == (ROOT / "requirements-data.txt").read_text().count("==")
    choices = [yaml.safe_load(file.read_text()) for file in CONF]
    needed = {choice["requirement"] for choice in choices if "requirement" in choice}
    assert needed == set(pinned)
    assert "--require-hashes -r requirements-data.txt" in (ROOT / "Makefile").read_text()


def test_what_serves_binds_to_this_machine_alone() -> None:
    command = subprocess.run(["make", "-n", "ui"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "mlflow ui --host 127.0.0.1 " in command
    told = [*SOURCES, ROOT / "Makefile", ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *CONF]
    assert not [file for file in told if "0.0.0.0" in file.read_text()]


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """An entry of a store, with one file."""
    return Store(tmp_path).get("artifact", {}, lambda folder: (folder / "artifact.json").write_text("{}") and None).path


@pytest.mark.parametrize("change", ["byte", "file", "manifest"])
def test_an_artifact_that_was_changed_is_not_served(stored: Path, change: str) -> None:
    assert find_fault(stored) is None
    match change:
        case "byte":
            (stored / "artifact.json").write_text("[]")
        case "file":
            (stored / "pytorch_model.bin").write_bytes(b"a pickle")
        case "manifest":
            (stored / "manifest.json").write_text('{"key": {"another": 1}, "files": {}}')
    with pytest.raises(ValueError, match="was changed since it was stored"):
        ServedModel(stored, Torch(name="torch"))


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname"])
def test_a_manifest_that_names_a_file_elsewhere_is_refused(stored: Path, name: str) -> None:
    (stored.parent / "outside").write_text("{}")
    text = (stored / "manifest.json").read_text().replace("artifact.json", name)
    (stored / "manifest.json").write_text(text)
    (stored / "artifact.json").unlink()
    assert find_fault(stored) == f"{name} is missing"


@pytest.mark.parametrize("name", ["../../etc", "/etc", "", "A" * 64])
def test_a_name_that_is_no_hash_is_no_entry_of_the_store(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="names no entry of the store"):
        Store(tmp_path).find("artifact", name)


@pytest.mark.parametrize("sweep", [["-m"], []], ids=["sweep", "run"])
def test_a_password_in_the_command_is_refused_and_stands_nowhere(tmp_path: Path, sweep: list[str]) -> None:
    ran = run_effcomp(*sweep, "tracking=server", f"tracking.uri=http://user:{SECRET}@127.0.0.1:9", cwd=tmp_path)
    assert ran.code == 2
    assert "MLFLOW_TRACKING_PASSWORD" in ran.stderr
    assert SECRET not in ran.stdout + ran.stderr
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()]


def test_no_file_holds_both_sides_of_a_merge() -> None:
    marks = [f"^{sign * 7}" for sign in "<>"]
    found = subprocess.run(
        ["git", "grep", "-l", "-e", marks[0], "-e", marks[1]], cwd=ROOT, capture_output=True, text=True
    )
    assert found.stdout == "", "these files were committed in the middle of a merge"
