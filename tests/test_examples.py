"""examples/, with one epoch, two formats and a short measurement, in a copy of their folder."""

import json
import shutil
from pathlib import Path

import pytest

from effcomp.docs.notebook import code as code_of
from effcomp.docs.notebook import fingerprint
from tests.conftest import ROOT, SMALL, run_effcomp

EXAMPLES = ROOT / "examples"
SHORTER = {
    '"bench=quick"': ", ".join(f'"{setting}"' for setting in SMALL),
    "finetune.epochs=8": "finetune.epochs=1",
    "quant=none,bf16,int8_dynamic": "quant=int8_dynamic",
    "none,bf16,int8_dynamic,nf4": "none,int8_dynamic",
}
"""Code of the examples -> what the tests run in its place."""


def code(file: Path) -> str:
    """Return the code of a script, or of a notebook's cells one after another."""
    if file.suffix == ".py":
        return file.read_text()
    return code_of(json.loads(file.read_text()))


def test_the_notebook_shows_what_its_code_gives() -> None:
    found = json.loads((EXAMPLES / "own_model.ipynb").read_text())
    assert found["metadata"]["effcomp"]["code"] == fingerprint(found), "run it again: python -m effcomp.docs.notebook"
    cells = [cell for cell in found["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1)), "in order, from a new kernel"
    kinds = {kind for cell in cells for output in cell["outputs"] for kind in output.get("data", ["text"])}
    assert kinds == {"text", "text/html", "text/plain", "image/png"}
    assert len(json.dumps(found)) < 200_000


@pytest.mark.parametrize(
    ("name", "printed"), [("own_table.py", "a new ticket goes to: "), ("own_model.ipynb", " threads\n")]
)
def test_the_example_runs(name: str, printed: str, tmp_path: Path) -> None:
    folder = tmp_path / "examples"
    shutil.copytree(EXAMPLES, folder)
    short = code(folder / name)
    assert '"bench=quick"' in short
    for words, shorter in SHORTER.items():
        short = short.replace(words, shorter)
    (folder / "short.py").write_text(short)
    ran = run_effcomp(cwd=folder, module="short.py")
    assert ran.code == 0, ran.stderr
    assert printed in ran.stdout


def test_the_runtime_of_one_s_own_runs(tiny: list[str], tmp_path: Path) -> None:
    own = EXAMPLES / "own_runtime"
    choices = ["--config-dir", str(own / "conf"), "runtime=medium_precision", "device=cpu", "tracking=none"]
    ran = run_effcomp(*choices, *tiny, cwd=tmp_path, own=own)
    assert ran.code == 0, ran.stderr
    assert ran.record["config"]["choices"]["runtime"] == "medium_precision"
    assert ran.record["versus_baseline"]["flipped_share"] <= 0.05
