"""Every runtime says what PyTorch says, whatever the head, the batch and the length; and what it ran."""

from pathlib import Path

import numpy as np
import pytest

from effcomp.core.batches import LABELS, Batch
from effcomp.core.device import Device
from effcomp.runtimes.base import Loaded
from tests.conftest import compose_parts, write_small

CPU = Device(name="cpu", kind="cpu", threads=1)
MODELS = {
    "sequence_classification": ("tiny_bert", "tiny_gpt2", "tiny_distilbert"),
    "causal_lm": ("tiny_gpt2", "tiny_gptneo", "tiny_bitnet"),
    "masked_lm": ("tiny_distilbert",),
}


def load(folder: Path, runtime: str) -> Loaded:
    part = compose_parts(f"runtime={runtime}").runtime
    part.start(folder, CPU)
    return part.load(folder, CPU)


def batch(rows: int, tokens: int) -> Batch:
    """Token ids, the last row half as long as the others."""
    ids = np.random.default_rng(rows).integers(5, 60, (rows, tokens))
    mask = np.ones_like(ids)
    if rows > 1:
        mask[-1, tokens // 2 :] = ids[-1, tokens // 2 :] = 0
    labels = np.where(mask == 1, ids, -100)
    return {"input_ids": ids, "attention_mask": mask, LABELS: labels}


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(("head", "model"), [(head, model) for head in MODELS for model in MODELS[head]])
def test_an_engine_says_what_pytorch_says(
    head: str, model: str, runtime: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    source = request.getfixturevalue(model)
    eager = load(write_small(source, tmp_path / "torch", head), "torch")
    engine = load(write_small(source, tmp_path / runtime, head, runtime=runtime), runtime)
    for rows, tokens in ((1, 5), (3, 17), (2, 40)):
        inputs = batch(rows, tokens)
        tokens_alone = {name: ids for name, ids in inputs.items() if name != LABELS}
        if "bert" in model and head == "sequence_classification":  # its tokenizer makes them
            tokens_alone["token_type_ids"] = np.zeros_like(inputs["input_ids"])
        assert engine(tokens_alone) == pytest.approx(eager(tokens_alone), abs=1e-4)
        if head != "sequence_classification":
            assert engine.token_losses(inputs) == pytest.approx(eager.token_losses(inputs), rel=1e-4)


def test_onnx_runtime_names_who_executed_each_operator(tiny_bert: Path, tmp_path: Path) -> None:
    folder = write_small(tiny_bert, tmp_path / "onnx", "sequence_classification", runtime="onnxruntime")
    ran = load(folder, "onnxruntime").ran({**batch(1, 8), "token_type_ids": np.zeros((1, 8), dtype=np.int64)})
    assert {one.provider for one in ran} == {"CPUExecutionProvider"}
    assert {"MatMul", "Gather"} <= {one.name for one in ran}
    assert all(one.seconds >= 0 and one.calls > 0 for one in ran)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_an_engine_is_for_the_cpu_alone(runtime: str) -> None:
    assert compose_parts(f"runtime={runtime}").runtime.devices == ("cpu",)
