"""llama.cpp splits and numbers texts with the vocabulary of a GGUF file as the model's own tokenizer does."""

import ctypes
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFReader
from transformers import AutoTokenizer

from effcomp.artifact.gguf_vocabulary import REST, WORDS
from effcomp.runtimes.llama_library import llama
from tests.small_artifacts import write_small

TEXTS = [
    "the film of 2023: 1,234 seats, and it's NOT what they'd say",
    "  two  spaces\n\nand\tlines \r\n of 7 words ",
    "naïve café – “quoted”, 日本語 und Straße 42b",
    "<|endoftext|>after the end",
]
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
PLAIN_BYTES = {**BYTES, "use_regex": False}


def split_by(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def sequence(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "pretokenizers": list(steps)}


def with_split(source: Path, folder: Path, split: dict[str, Any]) -> Path:
    """Copy a checkpoint, with another split of the texts in its tokenizer."""
    shutil.copytree(source, folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["pre_tokenizer"] = split
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return folder


def written(source: Path, folder: Path, head: str = "causal_lm") -> Path:
    settings = ("quant.type=f32", "quant.samples=0")
    return write_small(source, folder, head, "gguf", "llama_cpp", settings) / "model.gguf"


def llama_tokenizer(file: Path) -> Callable[[str], list[int]]:
    """Return the tokenizer of llama.cpp with the vocabulary of a file."""
    library, pointer = llama(), ctypes.c_void_p
    library.llama_model_get_vocab.restype, library.llama_model_get_vocab.argtypes = pointer, [pointer]
    flag, number = ctypes.c_bool, ctypes.c_int32
    library.llama_tokenize.argtypes = [pointer, ctypes.c_char_p, number, pointer, number, flag, flag]
    params = library.llama_model_default_params()
    params.vocab_only = True
    model = library.llama_model_load_from_file(str(file).encode(), params)
    assert model
    vocabulary = library.llama_model_get_vocab(model)

    def tokens(text: str) -> list[int]:
        found, encoded = (ctypes.c_int32 * 500)(), text.encode()
        return list(found[: library.llama_tokenize(vocabulary, encoded, len(encoded), found, 500, True, True)])

    return tokens


@pytest.mark.parametrize(
    "split",
    [
        BYTES,
        sequence({"type": "Digits", "individual_digits": True}, BYTES),
        sequence(split_by(WORDS + r"\p{N}{1,3}" + REST), PLAIN_BYTES),
        sequence(split_by(WORDS + r"\p{N}" + REST), PLAIN_BYTES),
    ],
    ids=["gpt-2", "smollm", "llama-bpe", "qwen2"],
)
def test_llama_cpp_numbers_texts_as_the_tokenizer_does(split: dict[str, Any], tiny_gpt2: Path, tmp_path: Path) -> None:
    source = with_split(tiny_gpt2, tmp_path / "model", split)
    own, theirs = AutoTokenizer.from_pretrained(source), llama_tokenizer(written(source, tmp_path / "gguf"))
    for text in TEXTS:
        assert theirs(text) == own(text).input_ids, text


def test_a_tokenizer_that_llama_cpp_does_not_have_is_left_out(tiny_gpt2: Path, tiny_bert: Path, tmp_path: Path) -> None:
    other = with_split(tiny_gpt2, tmp_path / "model", {"type": "Whitespace"})
    for source, head in ((other, "causal_lm"), (tiny_bert, "sequence_classification")):
        field = GGUFReader(written(source, tmp_path / f"gguf {head}", head)).fields["tokenizer.ggml.model"]
        assert field.contents() == "no_vocab"
