"""Fixtures of the tests of processes."""

from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder; processes that are started here import modules from it, and effcomp."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{tmp_path}")
    return tmp_path
