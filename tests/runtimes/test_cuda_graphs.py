"""Recorded calls say what eager ones say, whatever their shape, and a shape is recorded once."""

from pathlib import Path

import numpy as np
import pytest
import torch

from effcomp.artifact.folder import Compression, Trained, write_artifact
from effcomp.core.batches import Batch
from effcomp.core.device import Device
from effcomp.models.base import load_checkpoint
from effcomp.models.heads import Head
from effcomp.quant.lowering import lowerings
from effcomp.runtimes.cuda_graphs import GraphedModel, bucket, recorded
from effcomp.runtimes.torch import TorchModel
from tests.conftest import compose_parts

NEEDS_GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")]
GPU = Device(name="cuda", kind="cuda", threads=1)


def marked(*values: object) -> object:
    return pytest.param(*values, marks=NEEDS_GPU)


def test_lengths_fall_into_few_buckets() -> None:
    assert [bucket(width) for width in (1, 2, 3, 17, 32, 33, 128, 129)] == [1, 2, 4, 32, 32, 64, 128, 160]


def batch(rows: int, width: int) -> Batch:
    """Return inputs of BERT's kind: the second half of the first text is padding."""
    ids = np.random.default_rng(rows * width).integers(5, 15, (rows, width))
    mask = np.ones_like(ids)
    mask[0, -(-width // 2) :] = 0
    return {"input_ids": ids, "attention_mask": mask}


def loaded(folder: Path, head: Head, quant: str, target: Path) -> tuple[TorchModel, GraphedModel]:
    """Return a model that is eager in float32 arithmetic, and one with the same weights that is recorded."""
    parts = compose_parts(f"quant={quant}")
    model, tokenizer = load_checkpoint(folder, head)
    target.mkdir()
    write_artifact(
        Trained(model, tokenizer, head),
        Compression(parts.prune, parts.quant, parts.runtime.file_format),
        [],
        [],
        target,
    )
    graphed = compose_parts("runtime=cuda_graphs").runtime.load(target, GPU)
    if "torch" not in lowerings(parts.quant):
        parts, target = compose_parts("quant=none"), target.parent / "float"
        target.mkdir()
        write_artifact(
            Trained(model, tokenizer, head),
            Compression(parts.prune, parts.quant, parts.runtime.file_format),
            [],
            [],
            target,
        )
    eager = compose_parts("runtime=torch").runtime.load(target, GPU)
    assert isinstance(eager, TorchModel)
    assert isinstance(graphed, GraphedModel)
    return eager, graphed


@pytest.mark.parametrize(
    ("quant", "tolerance"),
    [
        marked("none", 1e-3),
        marked("bf16", 0.02),
        marked("int8_scratch", 0.02),
        marked("nf4", 0.02),
        marked("ternary", 0.03),
        marked("fp8", 0.15),
    ],
)
def test_it_says_what_the_eager_runtime_says(
    quant: str, tolerance: float, tiny_distilbert: Path, tmp_path: Path
) -> None:
    eager, graphed = loaded(tiny_distilbert, "sequence_classification", quant, tmp_path / quant)
    for rows, width in ((1, 7), (3, 33), (3, 40), (1, 7)):
        expected, found = eager(batch(rows, width)), graphed(batch(rows, width))
        assert np.abs(expected - found).max() < tolerance * np.abs(expected).max()
    assert {key[1:] for key in graphed.recorded} == {(1, 8), (3, 64)}
    graphed.prepare([batch(2, 9)])
    assert {key[1:] for key in graphed.recorded} == {(1, 8), (3, 64), (2, 16)}


@pytest.mark.parametrize(
    ("folder", "head"),
    [
        marked("tiny_bert", "sequence_classification"),
        marked("tiny_gpt2", "sequence_classification"),
        marked("tiny_gpt2", "causal_lm"),
        marked("tiny_llama", "causal_lm"),
    ],
)
def test_a_baseline_is_recorded_as_it_is(
    folder: str, head: Head, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    eager, _ = loaded(request.getfixturevalue(folder), head, "none", tmp_path / "float32")
    texts = [batch(1, 7), batch(3, 33), batch(1, 7)]
    if head == "causal_lm":
        texts = [text | {"attention_mask": np.ones_like(text["input_ids"])} for text in texts]
    before = [eager(text) for text in texts]
    graphs = recorded(eager)
    for text, expected in zip(texts, before, strict=True):
        assert np.allclose(graphs(text), expected, rtol=1e-3, atol=1e-5)
        assert np.array_equal(eager(text), expected)


@pytest.mark.parametrize(
    ("folder", "quant", "tolerance"),
    [
        marked("tiny_gpt2", "none", 1e-3),
        marked("tiny_gpt2", "ternary", 0.03),
        marked("tiny_gpt2", "fp8", 0.15),
        marked("tiny_bitnet", "ternary", 0.1),
        marked("tiny_llama", "nf4", 0.03),
    ],
)
def test_a_decoder_says_the_same_of_a_token_and_of_texts(
    folder: str, quant: str, tolerance: float, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    eager, graphed = loaded(request.getfixturevalue(folder), "causal_lm", quant, tmp_path / quant)
    for rows, width in ((1, 1), (1, 5), (2, 1), (2, 20)):
        ids = np.random.default_rng(width).integers(5, 15, (rows, width))
        texts = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        expected, found = eager(texts), graphed(texts)
        assert np.abs(expected - found).max() < tolerance * np.abs(expected).max()


@pytest.mark.parametrize("folder", [marked("tiny_gpt2"), marked("tiny_llama"), marked("tiny_gptneo")])
def test_it_writes_what_the_eager_runtime_writes(folder: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    eager, graphed = loaded(request.getfixturevalue(folder), "causal_lm", "none", tmp_path / "float32")
    for rows, width in ((1, 3), (3, 9), (3, 40), (8, 17)):
        ids = np.random.default_rng(width).integers(5, 15, (rows, width))
        mask = np.ones_like(ids)
        mask[0, : width // 3] = 0
        prompts = {"input_ids": ids, "attention_mask": mask}
        expected, found = eager.decode(prompts, 16), graphed.decode(prompts, 16)
        assert found.tokens == expected.tokens
        assert np.allclose(found.losses, expected.losses, rtol=1e-3)
        assert len(found.step_ns) == 16
    short = graphed.decode(prompts, 16, lambda tokens: len(tokens) == 5)
    assert short.tokens == [tokens[:5] for tokens in expected.tokens]
