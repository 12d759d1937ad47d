"""A small sweep that fine-tunes, stores, compresses, measures and logs; and one of it that nothing disturbed."""

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.ground import Ground, Left, new_ground


@dataclass(frozen=True)
class Undisturbed:
    ground: Ground
    left: Left
    seconds: float
    """Its time where the machine's rates are known."""


@pytest.fixture(scope="session")
def overrides(tiny: list[str]) -> tuple[str, ...]:
    return (*tiny, "device.threads=1", "finetune.checkpoint_steps=2", "quant=none,int8_dynamic")


@pytest.fixture
def ground(tmp_path: Path, overrides: tuple[str, ...]) -> Ground:
    return new_ground(tmp_path, overrides)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, overrides: tuple[str, ...]) -> Undisturbed:
    ground = new_ground(tmp_path_factory.mktemp("undisturbed"), overrides)
    started = time.time()
    ran = ground.run()
    seconds = time.time() - started - rates_s(ground, started)
    assert ran.code == 0, ran.stderr
    return Undisturbed(ground, ground.left(), seconds)


def rates_s(ground: Ground, since: float) -> float:
    """Return the time of measuring the machine's own rates, which happens once; the other sweeps find them."""
    measured = {file.parent: file.stat().st_mtime for file in ground.store.glob("machine/*/rates.json")}
    begun = {folder: folder.with_suffix(".lock").stat().st_mtime for folder in measured}
    return sum(measured[folder] - begun[folder] for folder in measured if measured[folder] > since)
