"""A pair has fresh processes in each block, which import no more than they need."""

import subprocess
import sys
from pathlib import Path

import psutil

from effcomp.core.batches import pack
from effcomp.core.device import Device
from effcomp.measure.client import Side
from effcomp.measure.pair import Pair
from effcomp.quant.floats import Float
from effcomp.runtimes.torch import Torch
from tests.small_artifacts import write_small


def test_each_block_of_a_pair_has_fresh_processes_and_the_other_order(tiny_bert: Path, tmp_path: Path) -> None:
    artifact = write_small(tiny_bert, tmp_path / "artifact", "sequence_classification")
    tokens = tmp_path / "tokens.safetensors"
    columns = {"input_ids": [[6, 7, 8, 9], [10, 11]], "attention_mask": [[1, 1, 1, 1], [1, 1]]}
    pack(columns, {"input_ids": 0, "attention_mask": 0}).save(tokens)
    side = Side(artifact, Torch(name="torch"), Float(name="none", dtype="float32"))
    pair = Pair((side, side), (tokens, tokens), Device(name="cpu", kind="cpu", threads=1).resolved())
    found, first = set[int](), list[list[int]]()
    for _ in range(2):
        with pair:
            found |= {pair.baseline.pid, pair.variant.pid}
            first.append([pair.order(turn)[0] for turn in range(4)])
        assert not any(map(psutil.pid_exists, found))
    assert len(found) == 4
    assert first == [[0, 1, 0, 1], [1, 0, 1, 0]]


def test_the_measured_process_imports_nothing_that_would_spoil_its_memory() -> None:
    modules = ("effcomp.measure.worker", *Torch.libraries, "effcomp.runtimes.torch", "effcomp.artifact.folder")
    code = f"import sys, {', '.join(modules)}; print({{'mlflow', 'hydra', 'datasets'}} & sys.modules.keys())"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"
