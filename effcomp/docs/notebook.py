"""Run of the example notebook that stores its outputs:  python -m effcomp.docs.notebook

Needs nbclient and ipykernel (pip install nbclient ipykernel), which nothing else here does. The notebook runs in a copy
of its folder. Standard error, a sweep's progress, is not stored.
"""

import json
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

NOTEBOOK = Path("examples/own_model.ipynb")
LONGEST_S = 1800
"""Time after which a cell is given up, in seconds."""


def code(notebook: dict[str, Any]) -> str:
    """Return the code of the cells, one after another."""
    return "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")


def fingerprint(notebook: dict[str, Any]) -> str:
    """Return the sha256 in hex of the code that the stored outputs are of."""
    return sha256(code(notebook).encode()).hexdigest()


def executed(notebook: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the notebook with the outputs of a run in the folder."""
    import nbformat
    from nbclient import NotebookClient

    ran = nbformat.reads(json.dumps(notebook), as_version=4)
    NotebookClient(ran, timeout=LONGEST_S, resources={"metadata": {"path": str(folder)}}).execute()
    for cell in ran.cells:
        if cell.cell_type == "code":
            cell.metadata.pop("execution", None)  # times of each step
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    ran.metadata["effcomp"] = {"code": fingerprint(notebook)}
    written: dict[str, Any] = json.loads(nbformat.writes(ran))
    return written


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "examples"
        shutil.copytree(NOTEBOOK.parent, copy)
        notebook = executed(json.loads(NOTEBOOK.read_text()), copy)
    NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
