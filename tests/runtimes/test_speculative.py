"""Speculative decoding writes what plain greedy decoding writes, whatever the draft proposes."""

from pathlib import Path

import numpy as np
import pytest
from transformers import AutoConfig, AutoTokenizer, MistralConfig

from effcomp.core.batches import Batch
from effcomp.core.errors import Skipped, UserError
from effcomp.record.probe import probes
from effcomp.runtimes.base import Loaded, Runtime
from effcomp.runtimes.decoding import never
from effcomp.runtimes.speculative import look_up
from tests.conftest import compose_parts
from tests.runtimes.test_engines import CPU
from tests.runtimes.test_llama_cpp import write_gguf
from tests.small_artifacts import write_small

NEW_TOKENS = 24


def runtime_with(draft: object, runtime: str = "torch") -> Runtime:
    precise = ["runtime.kv_cache=f32"] if runtime == "llama_cpp" else []
    return compose_parts(f"runtime={runtime}", f"runtime.draft={draft}", *precise).runtime


def load(folder: Path, draft: object, runtime: str = "torch") -> Loaded:
    part = runtime_with(draft, runtime)
    part.start(folder, CPU)
    return part.load(folder, CPU)


def prompt() -> Batch:
    """One prompt that repeats itself."""
    ids = np.tile(np.random.default_rng(0).integers(5, 60, 6), 2)[None]
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def numbers(model: Loaded) -> dict[str, float | None]:
    return {name: one.measure(model, None) for name, one in probes().items() if name.startswith("draft_")}


def test_the_look_up_proposes_what_followed_the_longest_and_latest_ending() -> None:
    assert look_up([1, 2, 3, 9, 2, 3, 8, 1, 2, 3], 2) == [9, 2], "three tokens before two"
    assert look_up([3, 7, 4, 3, 8, 4, 3], 4) == [8, 4, 3], "the latest of two"
    assert look_up([1, 2, 3], 4) == []


@pytest.mark.parametrize("model", ["tiny_gpt2", "tiny_gptneo", "tiny_llama", "tiny_bitnet"])
def test_pytorch_writes_the_same_text_with_any_draft(
    model: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    source = request.getfixturevalue(model)
    folder = write_small(source, tmp_path / "artifact", "causal_lm")
    other = request.getfixturevalue("tiny_llama" if model == "tiny_gpt2" else "tiny_gpt2")
    plain = load(folder, "null").decode(prompt(), NEW_TOKENS)
    accepted = {}
    for name, draft in {"prompt": "prompt", "itself": folder, "another": other}.items():
        drafted = load(folder, draft)
        found = drafted.decode(prompt(), NEW_TOKENS)
        assert found.tokens == plain.tokens, name
        assert found.losses == pytest.approx(plain.losses, rel=1e-4)
        assert len(found.step_ns) == NEW_TOKENS
        accepted[name] = numbers(drafted)
    assert accepted["itself"]["draft_accepted_share"] == 1
    assert accepted["itself"]["draft_tokens_per_call"] == pytest.approx((NEW_TOKENS - 1) / 5, rel=0.1)
    share = accepted["another"]["draft_accepted_share"]
    assert share is not None and share < 1, "some proposals were refused"


def test_llama_cpp_writes_the_same_text_with_any_draft(tiny_llama: Path, tiny_gpt2: Path, tmp_path: Path) -> None:
    folder = write_gguf(tiny_llama, tmp_path / "gguf", "causal_lm")
    other = write_gguf(tiny_gpt2, tmp_path / "other", "causal_lm")
    plain = load(folder, "null", "llama_cpp").decode(prompt(), NEW_TOKENS)
    for draft in ("prompt", folder, other):
        drafted = load(folder, draft, "llama_cpp")
        assert drafted.decode(prompt(), NEW_TOKENS).tokens == plain.tokens, draft
        if draft == folder:
            assert numbers(drafted)["draft_accepted_share"] == 1


def test_a_text_ends_where_plain_decoding_ends_it(tiny_gpt2: Path, tmp_path: Path) -> None:
    folder = write_small(tiny_gpt2, tmp_path / "artifact", "causal_lm")
    plain, drafted = load(folder, "null"), load(folder, folder)
    last = plain.decode(prompt(), NEW_TOKENS).tokens[0][6]
    for ended in (lambda tokens: tokens[-1] == last, lambda tokens: len(tokens) == 1, never):
        assert drafted.decode(prompt(), 9, ended).tokens == plain.decode(prompt(), 9, ended).tokens


def test_several_texts_at_once_are_refused(tiny_gpt2: Path, tmp_path: Path) -> None:
    drafted = load(write_small(tiny_gpt2, tmp_path / "artifact", "causal_lm"), "prompt")
    with pytest.raises(UserError, match=r"runtime\.draft writes one text at a time"):
        drafted.decode({name: np.repeat(ids, 2, axis=0) for name, ids in prompt().items()}, 2)


def test_a_draft_of_other_tokens_or_for_a_classifier_is_refused(
    tiny_gpt2: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    classifier = write_small(tiny_gpt2, tmp_path / "classifier", "sequence_classification")
    config, tokenizer = AutoConfig.from_pretrained(tiny_gpt2), AutoTokenizer.from_pretrained(tiny_gpt2)
    runtime_with(tiny_gpt2).check_writing("causal_lm", config, tokenizer)
    with pytest.raises(UserError, match=f"runtime.draft={tiny_bert} has another tokenizer than the model"):
        runtime_with(tiny_bert).check_writing("causal_lm", config, tokenizer)
    with pytest.raises(Skipped, match=r"runtime\.draft=prompt is for models that write"):
        runtime_with("prompt").check_writing("sequence_classification", config, tokenizer)
    windowed = MistralConfig(sliding_window=8)  # without layer_types, as its published configs are
    with pytest.raises(Skipped, match="takes tokens back, which the windows of a mistral cannot"):
        runtime_with("prompt").check_writing("causal_lm", windowed, tokenizer)
    with pytest.raises(UserError, match="has the head sequence_classification; give a smaller model that writes"):
        runtime_with(classifier).check_writing("causal_lm", config, tokenizer)


@pytest.mark.parametrize("runtime", ["openvino", "llama_cpp"])
def test_a_type_of_the_cache_is_refused_where_nothing_is_written(runtime: str, tiny_bert: Path) -> None:
    kv_cache = {"openvino": "u8", "llama_cpp": "q8_0"}[runtime]
    chosen = compose_parts(f"runtime={runtime}", f"runtime.kv_cache={kv_cache}").runtime
    with pytest.raises(Skipped, match=f"runtime.kv_cache={kv_cache} is for models that write"):
        chosen.check_writing("sequence_classification", AutoConfig.from_pretrained(tiny_bert), None)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"runtime.draft={tmp_path}"):
        runtime_with(tmp_path).check()
    with pytest.raises(UserError, match=r"has no model\.gguf; give an artifact of runtime=llama_cpp"):
        runtime_with(tmp_path, "llama_cpp").check()


def test_a_draft_is_known_by_its_contents(tiny_gpt2: Path, tmp_path: Path) -> None:
    (copy := tmp_path / "copy").mkdir()
    for file in tiny_gpt2.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert runtime_with(copy).key() == runtime_with(tiny_gpt2).key()
    (copy / "config.json").write_text("{}")
    assert runtime_with(copy).key() != runtime_with(tiny_gpt2).key()
