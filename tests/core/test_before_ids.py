"""Artifacts, a logged MLflow model and records that effcomp wrote before components had ids still load.

tests/data/before_ids was written by commit 031fc50, when number formats were in effcomp.compress.quant: a BERT of one
layer, fine-tuned on tests/data/movie_reviews, in five number formats, and the logits that this code computed with them.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from effcomp.artifact.description import read_description
from effcomp.core.component import from_spec
from effcomp.prune.base import NoPrune, Prune
from effcomp.record import Record
from tests.conftest import DATA, compose_parts

BEFORE = DATA / "before_ids"
EXPECTED = json.loads((BEFORE / "expected.json").read_text())
BATCH = {name: np.array(ids, dtype=np.int64) for name, ids in EXPECTED["inputs"].items()}
LOOSE = {"int8_dynamic_onnxruntime", "int8_static_openvino"}
"""Computed with int8 activations, whose rounding differs between processors."""


@pytest.mark.parametrize("name", EXPECTED["logits"])
def test_an_artifact_gives_the_logits_that_it_gave(name: str) -> None:
    folder, device = BEFORE / "artifacts" / name, compose_parts("device=cpu", "device.threads=1").device.resolved()
    description = read_description(folder)
    assert description.quant["class"].startswith("effcomp.compress.quant.")
    assert from_spec(description.prune, Prune) == NoPrune(name="none")
    runtime = compose_parts(f"runtime={name.rpartition('_')[2]}").runtime
    runtime.start(folder, device)
    logits, expected = runtime.load(folder, device)(BATCH), np.array(EXPECTED["logits"][name])
    if name in LOOSE:
        assert np.abs(logits - expected).max() < 0.1 * np.abs(expected).max()
    else:
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_a_logged_model_gives_the_probabilities_that_it_gave(tmp_path: Path) -> None:
    from mlflow.pyfunc import load_model
    from scipy.special import softmax

    assert "class: effcomp.runtimes.torch.Torch" in (BEFORE / "model" / "MLmodel").read_text()
    shutil.copytree(BEFORE / "model", tmp_path / "model")
    table = load_model(str(tmp_path / "model")).predict(["a good movie", "this film was terrible and boring"])
    expected = softmax(np.array(EXPECTED["logits"]["int8_scratch_torch"])[:2], axis=1)
    np.testing.assert_allclose(table[["negative", "positive"]].to_numpy(dtype=float), expected, rtol=1e-4)


@pytest.mark.parametrize("file", ["records/schema_1", "records/schema_2", "records/schema_3", "before_ids/record"])
def test_a_record_names_ids_in_place_of_classes(file: str) -> None:
    text = (DATA / f"{file}.json").read_text()
    assert '"_target_": "effcomp.' in text
    record = Record.from_json(text)
    assert "_target_" not in record.to_json()
    assert record.config["device"]["id"] == "device"
    assert record.config["quant"]["id"] in {"quant/four_bit", "quant/float"}
    assert Record.from_json(record.to_json()) == record
