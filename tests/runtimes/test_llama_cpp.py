"""llama.cpp says and writes what PyTorch does, whatever the head, the batch and the length; and what it ran."""

import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoConfig, AutoModel, AutoTokenizer

from effcomp.core.batches import LABELS, Batch, pack
from effcomp.core.errors import Skipped
from effcomp.runtimes.base import Loaded
from effcomp.runtimes.decoding import Ending
from effcomp.runtimes.llama_library import UBATCH
from tests.conftest import compose_parts
from tests.runtimes.test_engines import CPU, batch, load
from tests.small_artifacts import write_small

TEXTS = ["the music", "a warm film with a script to match", "the", "it helps that the director is a musician"]
NEW_TOKENS = 12


def write_gguf(source: Path, folder: Path, head: str, of_type: str = "f32") -> Path:
    settings = (f"quant.type={of_type}", "quant.samples=0")
    return write_small(source, folder, head, "gguf", "llama_cpp", settings)


def load_gguf(folder: Path, kv_cache: str = "f32") -> Loaded:
    runtime = compose_parts("runtime=llama_cpp", f"runtime.kv_cache={kv_cache}").runtime
    runtime.start(folder, CPU)
    return runtime.load(folder, CPU)


def prompts_of(folder: Path) -> Batch:
    """The texts of a batch, padded on the left."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    columns = {"input_ids": ids, "attention_mask": [[1] * len(one) for one in ids]}
    padding = {"input_ids": tokenizer.eos_token_id, "attention_mask": 0}
    return pack(columns, padding).batch(range(len(TEXTS)), left=True)


@pytest.mark.parametrize(
    ("head", "model"),
    [
        *(("causal_lm", model) for model in ("tiny_llama", "tiny_gpt2")),
        *(("sequence_classification", model) for model in ("tiny_bert", "tiny_distilbert", "tiny_llama", "tiny_gpt2")),
    ],
)
def test_it_says_what_pytorch_says(head: str, model: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    source = request.getfixturevalue(model)
    eager = load(write_small(source, tmp_path / "torch", head), "torch")
    engine = load_gguf(write_gguf(source, tmp_path / "gguf", head))
    for rows, tokens in ((1, 5), (3, 17), (2, 40)):
        inputs = batch(rows, tokens)
        tokens_alone = {name: ids for name, ids in inputs.items() if name != LABELS}
        if head == "causal_lm":  # PyTorch answers at the last column, where the short row has its padding
            expected, found = eager(tokens_alone)[0], engine(tokens_alone)[0]
            assert engine.token_losses(inputs) == pytest.approx(eager.token_losses(inputs), rel=1e-4)
        else:
            expected, found = eager(tokens_alone), engine(tokens_alone)
        assert found == pytest.approx(expected, abs=2e-3 * float(np.abs(expected).max()))


@pytest.mark.parametrize("model", ["tiny_llama", "tiny_gpt2"])
def test_prompts_of_different_lengths_are_written_on_as_pytorch_does(
    model: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    source = request.getfixturevalue(model)
    prompts = prompts_of(source)
    expected = load(write_small(source, tmp_path / "torch", "causal_lm"), "torch").decode(prompts, NEW_TOKENS)
    found = load_gguf(write_gguf(source, tmp_path / "gguf", "causal_lm")).decode(prompts, NEW_TOKENS)
    assert found.tokens == expected.tokens
    assert found.losses == pytest.approx(expected.losses, rel=1e-3)
    assert len(found.step_ns) == NEW_TOKENS
    assert found.cache_bytes is not None and expected.cache_bytes is not None
    mask, read = prompts["attention_mask"], NEW_TOKENS - 1  # the last token is not read any more
    of_padding = expected.cache_bytes * (mask.size - mask.sum()) / (mask.size + len(mask) * read)
    assert found.cache_bytes == pytest.approx(expected.cache_bytes - of_padding, rel=0.05)


def test_a_text_ends_at_its_stop_string_while_others_go_on(tiny_llama: Path, tmp_path: Path) -> None:
    model, prompts = load_gguf(write_gguf(tiny_llama, tmp_path / "gguf", "causal_lm")), prompts_of(tiny_llama)
    free = model.decode(prompts, NEW_TOKENS)
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    stop = tokenizer.decode(free.tokens[0][:3])
    stopped = model.decode(prompts, NEW_TOKENS, Ending(tokenizer, [stop]))
    assert stopped.tokens[0] == free.tokens[0][:3]
    assert all(mine == theirs[: len(mine)] for mine, theirs in zip(stopped.tokens, free.tokens, strict=True))


@pytest.mark.parametrize("kv_cache", ["f16", "bf16", "q8_0", "q4_0"])
def test_a_cache_of_fewer_bits_gives_nearly_the_same_losses(kv_cache: str, tiny_gpt2: Path, tmp_path: Path) -> None:
    folder = write_gguf(tiny_gpt2, tmp_path / "gguf", "causal_lm")
    exact, rounded = load_gguf(folder), load_gguf(folder, kv_cache)
    inputs = batch(2, 40)
    assert rounded.token_losses(inputs) == pytest.approx(exact.token_losses(inputs), rel=1e-2)


def test_it_names_each_operator_with_the_type_of_its_weights(tiny_llama: Path, tmp_path: Path) -> None:
    folder = write_gguf(tiny_llama, tmp_path / "gguf", "causal_lm", "q8_0")
    ran = {one.name: one for one in load_gguf(folder).ran(batch(1, 8))}
    products = sum(one.calls for name, one in ran.items() if name.startswith("MUL_MAT Q8_0"))
    assert products == 2 * 7 + 1  # seven weights in each of two layers, and the head
    assert all(one.seconds >= 0 for one in ran.values())


def test_an_encoder_reads_a_text_of_more_tokens_than_a_part_of_a_prompt(tiny_bert: Path, tmp_path: Path) -> None:
    config = AutoConfig.from_pretrained(tiny_bert, max_position_embeddings=640)
    shutil.copytree(tiny_bert, tmp_path / "long")
    AutoModel.from_config(config).save_pretrained(tmp_path / "long")
    eager = load(write_small(tmp_path / "long", tmp_path / "torch", "sequence_classification"), "torch")
    engine = load_gguf(write_gguf(tmp_path / "long", tmp_path / "gguf", "sequence_classification"))
    inputs = {name: ids for name, ids in batch(2, UBATCH + 40).items() if name != LABELS}
    np.testing.assert_allclose(engine(inputs), eager(inputs), atol=1e-4)


def test_a_second_text_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    model = load_gguf(write_gguf(tiny_bert, tmp_path / "gguf", "sequence_classification"))
    inputs = batch(1, 8)
    with pytest.raises(ValueError, match="second text"):
        model({**inputs, "token_type_ids": np.ones_like(inputs["input_ids"])})


@pytest.mark.parametrize(
    ("model", "kv_cache", "pairs", "reason"),
    [
        ("tiny_bert", "f16", True, "this task has pairs"),
        ("tiny_distilbert", "f16", True, None),
        ("tiny_llama", "q8_0", False, "a head of this model has 16; use runtime.kv_cache=f16"),
        ("tiny_gpt2", "q8_0", False, None),
    ],
)
def test_a_model_that_it_cannot_run_is_refused_before_any_work(
    model: str, kv_cache: str, pairs: bool, reason: str | None, request: pytest.FixtureRequest
) -> None:
    runtime = compose_parts("runtime=llama_cpp", f"runtime.kv_cache={kv_cache}").runtime
    config = AutoConfig.from_pretrained(request.getfixturevalue(model))
    with nullcontext() if reason is None else pytest.raises(Skipped, match=reason):
        runtime.check_model(config, pairs)


def test_a_file_that_is_not_gguf_is_named_with_llama_cpp_s_reason(tiny_llama: Path, tmp_path: Path) -> None:
    folder = write_gguf(tiny_llama, tmp_path / "gguf", "causal_lm")
    (folder / "model.gguf").write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"does not load .*model.gguf: \w"):
        load_gguf(folder)


def test_it_is_for_the_cpu_alone_and_says_its_instructions(tmp_path: Path) -> None:
    runtime = compose_parts("runtime=llama_cpp").runtime
    assert runtime.devices == ("cpu",)
    assert runtime.start(tmp_path, CPU).startswith("CPU")
