"""NaN and infinity are findings: they end a configuration with its format, runtime and the layer where they begin."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from effcomp.artifact.folder import Compression, Trained, write_artifact
from effcomp.core.batches import pack
from effcomp.core.device import Device
from effcomp.core.errors import NotFinite
from effcomp.core.template import Template
from effcomp.measure.client import Side, Worker
from effcomp.models.base import load_checkpoint
from effcomp.prune.base import NoPrune
from effcomp.quant.base import Quant
from effcomp.runtimes.base import Runtime
from tests.conftest import compose_parts

HEAD = "sequence_classification"
CPU = Device(name="cpu", kind="cpu", threads=1)
IDS = [[2, 9, 17, 3], [2, 9, 3]]


def overflowing(source: Path, folder: Path, weight: float, *overrides: str) -> Side:
    """The artifact of a BERT whose second layer computes numbers as large as this weight."""
    parts = compose_parts(*overrides)
    model, tokenizer = load_checkpoint(source, HEAD)
    with torch.no_grad():
        model.bert.encoder.layer[1].output.dense.weight.fill_(weight)
    folder.mkdir()
    form, prune = parts.runtime.file_format, NoPrune(name="none")
    write_artifact(Trained(model, tokenizer, HEAD), Compression(prune, parts.quant, form), [], [], folder)
    return Side(folder, parts.runtime, parts.quant)


@pytest.mark.parametrize(
    ("runtime", "layer"),
    [("torch", "bert.encoder.layer.1.output.dense"), ("onnxruntime", ""), ("openvino", "layer.1")],
)
def test_every_runtime_names_the_layer_where_it_begins(
    runtime: str, layer: str, tiny_bert: Path, tmp_path: Path
) -> None:
    side = overflowing(tiny_bert, tmp_path / "artifact", 3e38, f"runtime={runtime}")
    side.runtime.start(side.artifact, CPU)
    model = side.runtime.load(side.artifact, CPU)
    ids = np.array([IDS[0]], dtype=np.int64)
    batch = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    assert not np.isfinite(model(batch)).all()
    found = model.first_not_finite(batch)
    assert found is not None
    assert layer in found


def test_a_format_whose_range_is_too_small_fails_in_one_line_before_it_is_timed(
    tiny_bert: Path, torch_template: Template, tmp_path: Path
) -> None:
    tokens = {"input_ids": IDS, "attention_mask": [[1] * len(row) for row in IDS]}
    pack(tokens, {"input_ids": 0, "attention_mask": 0}).save(tmp_path / "tokens")
    float32 = overflowing(tiny_bert, tmp_path / "none", 1e5, "quant=none")
    float16 = overflowing(tiny_bert, tmp_path / "fp16", 6e4, "quant=fp16")
    with Worker(float32, tmp_path / "tokens", CPU, template=torch_template) as worker:
        worker.wait_until_started()
        worker.load()
    message = r"quant=fp16 on runtime=torch computes NaN or infinity, first in bert\.encoder\.layer\.1\.output\.dense;"
    with (
        Worker(float16, tmp_path / "tokens", CPU, template=torch_template) as worker,
        pytest.raises(NotFinite, match=message),
    ):
        worker.wait_until_started()
        worker.load()


def test_outputs_that_are_not_finite_later_fail_the_evaluation(
    tiny_bert: Path, torch_template: Template, tmp_path: Path
) -> None:
    """The first example is finite, a later one is not."""
    model, tokenizer = load_checkpoint(tiny_bert, HEAD)
    with torch.no_grad():
        model.bert.embeddings.position_embeddings.weight.fill_(3e38)
        model.bert.embeddings.position_embeddings.weight[:4] = 0
    parts: tuple[Quant, Runtime] = (compose_parts().quant, compose_parts().runtime)
    (tmp_path / "artifact").mkdir()
    write_artifact(
        Trained(model, tokenizer, HEAD),
        Compression(NoPrune(name="none"), parts[0], parts[1].file_format),
        [],
        [],
        tmp_path / "artifact",
    )
    longer: dict[str, Any] = {"input_ids": [[2, 9, 3], [2, 9, 9, 9, 9, 3]]}
    longer["attention_mask"] = [[1] * len(row) for row in longer["input_ids"]]
    pack(longer, {"input_ids": 0, "attention_mask": 0}).save(tmp_path / "tokens")
    with Worker(
        Side(tmp_path / "artifact", parts[1], parts[0]), tmp_path / "tokens", CPU, template=torch_template
    ) as worker:
        worker.wait_until_started()
        worker.load()
        with pytest.raises(NotFinite, match="quant=none on runtime=torch"):
            worker.finite("predict", file=str(tmp_path / "outputs"), batch_size=1)
    assert not (tmp_path / "outputs").exists()
