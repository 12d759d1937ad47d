"""File formats of artifacts: their contents on disk, and the bytes that a call has to read."""

from pathlib import Path

import pytest
import torch

from effcomp.artifact.onnx import Onnx
from effcomp.artifact.openvino import OpenVino
from effcomp.artifact.safetensors import Safetensors
from effcomp.models.base import load_checkpoint
from tests.small_artifacts import write_small

FORMS = {"torch": Safetensors(), "onnxruntime": Onnx(), "openvino": OpenVino()}
GRAPH_BYTES = {"torch": 0, "onnxruntime": 80_000, "openvino": 10_000}
"""Room for what is not weights: the operators, the scalars between them."""


@pytest.mark.parametrize("runtime", FORMS)
def test_embedding_tables_are_not_read_whole_but_a_head_that_is_one_is(
    runtime: str, tiny_bert: Path, tiny_gpt2: Path, tmp_path: Path
) -> None:
    form, room = FORMS[runtime], GRAPH_BYTES[runtime]
    encoder = write_small(tiny_bert, tmp_path / "encoder", "sequence_classification", runtime=runtime)
    model, _ = load_checkpoint(tiny_bert, "sequence_classification")
    tables = sum(m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Embedding))
    needed = 4 * (sum(p.numel() for p in model.parameters()) - tables)
    zeros = 4 * sum(p.numel() for p in model.parameters() if not p.any())  # biases that an engine leaves out
    assert needed - zeros - 1_000 <= form.bytes_read(encoder) <= needed + room
    assert form.weights_bytes(encoder) >= needed - zeros - 1_000 + 4 * tables
    decoder = write_small(tiny_gpt2, tmp_path / "decoder", "causal_lm", runtime=runtime)
    model, _ = load_checkpoint(tiny_gpt2, "causal_lm")
    needed = 4 * (sum(p.numel() for p in model.parameters()) - model.transformer.wpe.weight.numel())
    zeros = 4 * sum(p.numel() for p in model.parameters() if not p.any())
    assert needed - zeros - 1_000 <= form.bytes_read(decoder) <= needed + room


@pytest.mark.parametrize(
    ("runtime", "formats"),
    [
        ("torch", ("none", "bf16", "int8_dynamic", "ternary")),
        ("onnxruntime", ("none", "int8_dynamic")),
        ("openvino", ("none", "bf16", "int8_dynamic", "int4")),
    ],
)
def test_fewer_bits_mean_fewer_bytes(runtime: str, formats: tuple[str, ...], tiny_bert: Path, tmp_path: Path) -> None:
    form, head = FORMS[runtime], "sequence_classification"
    folders = [write_small(tiny_bert, tmp_path / quant, head, quant, runtime) for quant in formats]
    for sizes in ([form.bytes_read(folder) for folder in folders], [form.weights_bytes(folder) for folder in folders]):
        assert sizes == sorted(sizes, reverse=True)
        assert len(set(sizes)) == len(sizes)


def test_a_graph_names_no_file_of_the_machine_that_made_it(tiny_bert: Path, tmp_path: Path) -> None:
    for runtime in ("onnxruntime", "openvino"):
        folder = write_small(tiny_bert, tmp_path / runtime, "sequence_classification", runtime=runtime)
        for file in FORMS[runtime].files(folder):
            assert b"site-packages" not in file.read_bytes(), file
