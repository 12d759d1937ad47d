"""Recorded calls say what eager ones say, whatever their shape, and a shape is recorded once."""

from pathlib import Path

import numpy as np
import pytest
import torch

from effcomp.compress.artifact import write_artifact
from effcomp.device import Device
from effcomp.models.base import load_checkpoint
from effcomp.ragged import Batch
from effcomp.runtimes.cuda_graphs import GraphedModel
from tests.conftest import compose_parts

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
GPU = Device(name="cuda", kind="cuda", threads=1)


def batch(rows: int, width: int) -> Batch:
    ids = np.random.default_rng(rows * width).integers(5, 15, (rows, width))
    mask = np.ones_like(ids)
    mask[0, width // 2 :] = 0
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("quant", ["none", "bf16", "nf4"])
def test_it_says_what_the_eager_runtime_says(quant: str, tiny_distilbert: Path, tmp_path: Path) -> None:
    parts = compose_parts("model=distilbert", f"quant={quant}")
    model, tokenizer = load_checkpoint(tiny_distilbert, "sequence_classification")
    write_artifact(
        model, tokenizer, "sequence_classification", parts.prune, parts.quant, parts.runtime.format, [], tmp_path
    )
    eager = compose_parts("runtime=torch").runtime.load(tmp_path, GPU)
    graphed = compose_parts("runtime=cuda_graphs").runtime.load(tmp_path, GPU)
    assert isinstance(graphed, GraphedModel)
    for rows, width in ((1, 7), (3, 33), (3, 40), (1, 7)):
        expected, found = eager(batch(rows, width)), graphed(batch(rows, width))
        assert np.abs(expected - found).max() < 0.02 * np.abs(expected).max()
    assert {key[1:] for key in graphed.recorded} == {(1, 32), (3, 64)}
