"""The cost of a calibration is in the artifact and in the Record."""

from pathlib import Path

import pytest

from effcomp.artifact.calibration import fingerprint
from effcomp.artifact.description import read_description
from effcomp.artifact.folder import Compression, Trained, write_artifact
from effcomp.models.base import load_checkpoint
from effcomp.pipeline.record import calibration_row
from effcomp.prune.base import NoPrune
from effcomp.runtimes.torch import Torch
from tests.conftest import compose_parts

HEAD = "sequence_classification"


@pytest.mark.parametrize(("rounding", "samples"), [("gptq", 2), ("hqq", 0)])
def test_a_fitted_artifact_says_what_it_cost(rounding: str, samples: int, tiny_bert: Path, tmp_path: Path) -> None:
    quant = compose_parts("quant=int3", f"quant.rounding={rounding}", "quant.samples=2").quant
    model, tokenizer = load_checkpoint(tiny_bert, HEAD)
    batches = [dict(tokenizer(text, return_tensors="np")) for text in ("a warm film", "dull")][:samples]
    write_artifact(
        Trained(model, tokenizer, HEAD),
        Compression(NoPrune(name="none"), quant, Torch(name="torch").file_format),
        batches,
        [],
        tmp_path,
    )
    found, row = read_description(tmp_path).calibration, calibration_row(tmp_path)
    assert (found is None) == (row is None) == (samples == 0)
    if found is not None and row is not None:
        assert found.samples == row.samples == 2
        assert 0 < row.calibration_s < 60
        assert row.peak_rss_bytes > 2**20
        assert row.fingerprint == fingerprint(batches)


def test_the_fingerprint_is_that_of_the_samples_in_their_order(tiny_bert: Path) -> None:
    _, tokenizer = load_checkpoint(tiny_bert, HEAD)
    one, other = (dict(tokenizer(text, return_tensors="np")) for text in ("a warm film", "dull"))
    assert fingerprint([one, other]) == fingerprint([one, other])
    assert len({fingerprint(samples) for samples in ([one, other], [other, one], [one], [one, one])}) == 4
