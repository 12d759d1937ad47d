"""Every runtime says what PyTorch says, whatever the head, the batch and the length; and what it ran."""

import json
from pathlib import Path

import numpy as np
import pytest

from effcomp.core.batches import LABELS, Batch
from effcomp.core.device import Device
from effcomp.runtimes.base import Loaded
from tests.conftest import compose_parts
from tests.small_artifacts import write_small

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
        asked = slice(None) if head == "sequence_classification" else inputs["attention_mask"][:, -1] == 1  # no padding
        assert engine(tokens_alone)[asked] == pytest.approx(eager(tokens_alone)[asked], abs=1e-4)
        if head != "sequence_classification":
            assert engine.token_losses(inputs) == pytest.approx(eager.token_losses(inputs), rel=1e-4)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("model", ["tiny_gpt2", "tiny_gptneo", "tiny_llama", "tiny_bitnet"])
def test_an_engine_writes_what_pytorch_writes(
    model: str, runtime: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    source = request.getfixturevalue(model)
    eager = load(write_small(source, tmp_path / "torch", "causal_lm"), "torch")
    engine = load(write_small(source, tmp_path / runtime, "causal_lm", runtime=runtime), runtime)
    ids = np.random.default_rng(0).integers(5, 60, (3, 9))
    mask = np.ones_like(ids)
    mask[0, :4] = 0
    mask[1, :1] = 0
    prompts = {"input_ids": ids, "attention_mask": mask}
    expected, found = eager.decode(prompts, 12), engine.decode(prompts, 12)
    assert found.tokens == expected.tokens
    assert found.losses == pytest.approx(expected.losses, rel=1e-3)
    assert len(found.step_ns) == 12
    assert found.cache_bytes == expected.cache_bytes
    first = expected.tokens[0][0]
    ended = engine.decode(prompts, 12, lambda tokens: tokens[-1] == first or len(tokens) == 3)
    assert ended.tokens[0] == [first]
    assert max(len(tokens) for tokens in ended.tokens) <= 3


def test_openvino_keeps_a_cache_in_8_bits(tiny_llama: Path, tmp_path: Path) -> None:
    folder = write_small(tiny_llama, tmp_path / "openvino", "causal_lm", runtime="openvino")
    part = compose_parts("runtime=openvino", "runtime.kv_cache=u8").runtime
    prompts = batch(2, 8)
    del prompts[LABELS]
    prompts["attention_mask"][:] = 1
    exact, rounded = load(folder, "openvino").decode(prompts, 4), part.load(folder, CPU).decode(prompts, 4)
    assert rounded.losses == pytest.approx(exact.losses, rel=0.1)
    config = json.loads((folder / "config.json").read_text())
    vectors = 2 * config["num_hidden_layers"] * config["num_key_value_heads"] * 2 * (8 + 3)  # of two texts
    size = config["hidden_size"] // config["num_attention_heads"]
    assert (exact.cache_bytes, rounded.cache_bytes) == (vectors * 4 * size, vectors * (size + 8))


def test_onnx_runtime_names_who_executed_each_operator(tiny_bert: Path, tmp_path: Path) -> None:
    folder = write_small(tiny_bert, tmp_path / "onnx", "sequence_classification", runtime="onnxruntime")
    ran = load(folder, "onnxruntime").ran({**batch(1, 8), "token_type_ids": np.zeros((1, 8), dtype=np.int64)})
    assert {one.provider for one in ran} == {"CPUExecutionProvider"}
    assert {"MatMul", "Gather"} <= {one.name for one in ran}
    assert all(one.seconds >= 0 and one.calls > 0 for one in ran)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_an_engine_is_for_the_cpu_alone(runtime: str) -> None:
    assert compose_parts(f"runtime={runtime}").runtime.devices == ("cpu",)
