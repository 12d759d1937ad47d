"""Shared setup of the tests of models."""

from pathlib import Path

import pytest

from effcomp.core.store import Store
from effcomp.models.base import Model
from tests.conftest import compose_parts

LABELS = ("negative", "positive")


def model(folder: Path) -> Model:
    return compose_parts(f"model.path={folder}").model


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")
