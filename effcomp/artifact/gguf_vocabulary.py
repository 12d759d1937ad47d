"""The vocabulary in a GGUF file, with which llama.cpp's own programs read and write text; effcomp needs none there."""

import json
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gguf import GGUFWriter
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
SPLITS = {
    (("ByteLevel", True),): "gpt-2",
    (("Digits", True), ("ByteLevel", True)): "smollm",
    (("Split", WORDS + r"\p{N}{1,3}" + REST), ("ByteLevel", False)): "llama-bpe",
    (("Split", WORDS + r"\p{N}" + REST), ("ByteLevel", False)): "qwen2",
}
"""llama.cpp's names of the ways to split a text before byte-pair encoding, by the steps of a tokenizer.json."""
IDS = ("bos", "eos", "pad", "unk")


def add_vocabulary(made: "GGUFWriter", tokenizer: "PreTrainedTokenizerBase | None", size: int) -> None:
    """Add the tokenizer of a decoder to a GGUF file, or a note that the file has none: without a tokenizer, or where
    llama.cpp does not split texts as it does, which is logged.

    Args:
        size: number of rows of the embedding table; rows without a token are named [PAD0], ...
    """
    if tokenizer is None:
        made.add_tokenizer_model("no_vocab")
        return
    backend = json.loads(tokenizer.backend_tokenizer.to_str()) if tokenizer.is_fast else None
    split = None if backend is None else split_of(backend)
    if backend is None or split is None or len(tokenizer) > size:
        log.info("the GGUF file has no vocabulary: llama.cpp does not split texts as this tokenizer does")
        made.add_tokenizer_model("no_vocab")
        return
    from gguf import TokenType

    names, types = [f"[PAD{row}]" for row in range(size)], [TokenType.UNUSED] * size
    for token, row in tokenizer.get_vocab().items():
        names[row], types[row] = token, TokenType.NORMAL
    for token in backend["added_tokens"]:
        types[token["id"]] = TokenType.CONTROL if token["special"] else TokenType.USER_DEFINED
    made.add_tokenizer_model("gpt2")
    made.add_tokenizer_pre(split)
    made.add_token_list(names)
    made.add_token_types(types)
    made.add_token_merges([" ".join(pair) if isinstance(pair, list) else pair for pair in backend["model"]["merges"]])
    for name in IDS:
        if (row := getattr(tokenizer, f"{name}_token_id")) is not None:
            getattr(made, f"add_{name}_token_id")(row)
    made.add_add_bos_token(tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id])


def split_of(backend: dict[str, Any]) -> str | None:
    """Return llama.cpp's name of the way in which a byte-level BPE tokenizer splits texts; None where it has none.

    Args:
        backend: the contents of tokenizer.json.
    """
    if backend["model"]["type"] != "BPE" or backend["normalizer"] not in (None, {"type": "NFC"}):
        return None
    whole = backend["pre_tokenizer"] or {}
    steps = whole.get("pretokenizers", [whole])
    if any(step.get("add_prefix_space") for step in steps):
        return None
    return SPLITS.get(tuple(map(settings_of, steps)))


def settings_of(step: dict[str, Any]) -> tuple[str, Any]:
    """Return the kind of a step, and what it depends on."""
    setting = {"ByteLevel": "use_regex", "Digits": "individual_digits", "Split": "pattern"}.get(step.get("type", ""))
    value = step.get(setting) if setting else None
    return step.get("type", ""), value.get("Regex") if isinstance(value, dict) else value
