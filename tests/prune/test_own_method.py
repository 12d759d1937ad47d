"""The pruning method of docs/extending.md runs as it is printed there, from a package of the reader's own."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT, run_effcomp

BLOCK = re.compile(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)


def test_the_pruning_method_removes_the_share_that_is_asked_for(tmp_path: Path, tiny: list[str]) -> None:
    page = (ROOT / "docs/extending.md").read_text()
    for name, text in BLOCK.findall(page):
        file = tmp_path / name.replace("effcomp/prune/", "own_")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("effcomp.prune.smallest_rows.", "own_smallest_rows."))
    prune = ("prune=smallest_rows", "prune.ratio=0.5", "tracking=none")
    ran = run_effcomp("--config-dir", str(tmp_path / "conf"), *prune, *tiny, cwd=tmp_path, own=tmp_path)
    assert ran.code == 0, ran.stderr
    size = ran.record["cost"]["size"]
    matrices = 2 * (4 * 64 * 64 + 2 * 64 * 128) + 64 * 64  # two layers and the pooler
    assert size["parameters"] - size["nonzero_parameters"] == pytest.approx(matrices / 2, rel=0.01)
