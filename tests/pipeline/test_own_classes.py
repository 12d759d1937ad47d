"""A number format and a fine-tuning method from the user's own module, through the real command."""

from pathlib import Path

import pytest

from tests.conftest import run_effcomp

FORMATS = """
from effcomp.quant.floats import Float


class Halves(Float):
    '''Weights in bfloat16.'''
"""
TRAINING = """
from effcomp.finetune.full import FullFinetune


class Twice(FullFinetune):
    '''Full fine-tuning at twice the learning rate.'''

    def train(self, setup):
        return FullFinetune(**{**dict(self), "learning_rate": FACTOR * self.learning_rate}).train(setup)


FACTOR = 2
"""
OWN = ["quant=bf16", "quant._target_=own_formats.Halves", "finetune._target_=own_training.Twice"]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with the user's modules, on the path that Python searches."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "own_formats.py").write_text(FORMATS)
    (folder / "own_training.py").write_text(TRAINING)
    return folder


def test_they_are_trained_with_compressed_with_and_measured(own: Path, tiny: list[str], tmp_path: Path) -> None:
    ran = run_effcomp(*tiny, *OWN, "tracking=none", cwd=tmp_path, own=own)
    assert ran.code == 0, ran.stderr
    config = ran.record["config"]
    assert config["quant"]["id"] == "own_formats:Halves"
    assert config["finetune"]["id"] == "own_training:Twice"
    assert ran.record["cost"]["size"]["bits_per_parameter"] < 20


TRAINS = """
import sys
from effcomp.pipeline.prepare import prepare
from effcomp.pipeline.training import checkpoint
from tests.conftest import compose_parts

def main():
    print(checkpoint(prepare(compose_parts(*sys.argv[1:]))).created)
"""


def test_a_class_that_was_edited_trains_again(own: Path, tiny: list[str], tmp_path: Path) -> None:
    (own / "trains.py").write_text(TRAINS)

    def trains() -> bool:
        ran = run_effcomp(*tiny, *OWN, f"store={tmp_path / 'store'}", module="trains", cwd=tmp_path, own=own)
        assert ran.code == 0, ran.stderr
        return ran.stdout.split()[-1] == "True"

    assert trains()
    assert not trains()
    (own / "own_training.py").write_text(TRAINING.replace("FACTOR = 2", "FACTOR = 3"))
    assert trains()
    (own / "beside.py").write_text("STEP = 1\n")
    assert not trains(), "a file that it does not import does not matter"
