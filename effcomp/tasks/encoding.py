"""Texts and pairs as token ids, and documents packed into blocks with labels for the tokens to predict."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from effcomp.core.batches import IGNORED, Ragged, pack
from effcomp.core.errors import UserError
from effcomp.models.heads import Head
from effcomp.tasks.base import Examples

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MASKED_SHARE = 0.15
"""Share of a block's tokens that are masked (Devlin et al. 2019, BERT, section 3.1)."""


def second_texts(pairs: Sequence[str], tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """Return the second text of each pair, told apart from the first.

    Where the tokenizer puts a special token between two texts (BERT's [SEP]), they stay unchanged. Where it puts none
    (GPT-2, GPT-Neo), each begins with a line break; without it premise and hypothesis would read as one sentence.
    """
    between = tokenizer.num_special_tokens_to_add(pair=True) > tokenizer.num_special_tokens_to_add(pair=False)
    return list(pairs) if between else [f"\n{text}" for text in pairs]


def encode(examples: Examples, tokenizer: "PreTrainedTokenizerBase", max_length: int) -> Ragged:
    """Return the columns of `token_columns` with the padding that the model expects."""
    padding = {
        "input_ids": tokenizer.pad_token_id or 0,
        "attention_mask": 0,
        "token_type_ids": tokenizer.pad_token_type_id,
    }
    columns = token_columns(examples, tokenizer, max_length)
    return pack(columns, padding, left=tokenizer.padding_side == "left")


def token_columns(
    examples: Examples, tokenizer: "PreTrainedTokenizerBase", max_length: int
) -> dict[str, list[list[int]]]:
    """Return the token ids of each text (and its pair), cut to max_length, and the masks beside them.

    A text that leaves no token is its end-of-text token: a model needs one to answer. The second text of a pair
    follows as `second_texts` says.
    """
    pairs = second_texts(examples.pairs, tokenizer) or None
    encoded = tokenizer(list(examples.texts), pairs, truncation=True, max_length=max_length)
    token = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.pad_token_id
    one = {"input_ids": token, "attention_mask": 1, "token_type_ids": 0}
    return {name: [row or [one[name]] for row in encoded[name]] for name in tokenizer.model_input_names}


@dataclass(frozen=True)
class TextSize:
    """Size of the documents in words and bytes, for losses per word and per byte."""

    words: int
    """Number of words, separated by white space."""
    utf8_bytes: int


def text_size(examples: Examples) -> TextSize:
    return TextSize(
        sum(len(text.split()) for text in examples.texts), sum(len(text.encode()) for text in examples.texts)
    )


def blocks(examples: Examples, tokenizer: "PreTrainedTokenizerBase", max_length: int, head: Head) -> list[list[int]]:
    """Return all documents concatenated and cut into blocks of max_length tokens; the last block may be shorter.

    Encoders: each block between the tokenizer's own first and last token ([CLS], [SEP]), documents divided by the last.
    Decoders: documents end in the end-of-text token, and each block begins with it too, so that every token of
    the text is predicted once.
    """
    encoded = tokenizer(list(examples.texts), add_special_tokens=False)["input_ids"]
    if head == "masked_lm":
        first, last = [tokenizer.cls_token_id], [tokenizer.sep_token_id]
        divider = tokenizer.sep_token_id
    else:
        divider = tokenizer.eos_token_id
        first, last = [first_token(tokenizer)], []
    stream = [token for document in encoded for token in (*document, divider)]
    inside = max_length - len(first) - len(last)
    return [first + stream[start : start + inside] + last for start in range(0, len(stream), inside)]


def first_token(tokenizer: "PreTrainedTokenizerBase") -> int:
    """Return the token that a decoder's text begins with: its own token for that, or the one that ends a text."""
    token: int = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    return token


def encode_blocks(
    examples: Examples, tokenizer: "PreTrainedTokenizerBase", max_length: int, head: Head, seed: int
) -> Ragged:
    """Return input_ids, attention_mask and labels of each block.

    Decoders: labels are the tokens themselves but the first (the model shifts them). Encoders: `seed` draws 15 % of the
    tokens, which input_ids replaces by the mask token; two compared models see the same masks.
    """
    generator = np.random.default_rng(seed)
    ids, labels = [], []
    for block in blocks(examples, tokenizer, max_length, head):
        target = [IGNORED, *block[1:]]
        if head == "masked_lm":
            inner = np.arange(1, len(block) - 1)
            chosen = generator.choice(inner, size=max(1, round(MASKED_SHARE * len(inner))), replace=False).tolist()
            target = [IGNORED] * len(block)
            block = list(block)
            for position in chosen:
                target[position], block[position] = block[position], tokenizer.mask_token_id
        ids.append(block)
        labels.append(target)
    columns = {"input_ids": ids, "attention_mask": [[1] * len(block) for block in ids], "labels": labels}
    return pack(columns, {"input_ids": tokenizer.pad_token_id or 0, "attention_mask": 0, "labels": IGNORED})


def encode_prompts(examples: Examples, tokenizer: "PreTrainedTokenizerBase", max_length: int) -> Ragged:
    """Encode each prompt after the token that a text begins with; an empty prompt is that token alone.

    Raises:
        UserError: a prompt has more than max_length tokens.
    """
    encoded = tokenizer(list(examples.texts), add_special_tokens=False)["input_ids"]
    ids = [[first_token(tokenizer), *tokens] for tokens in encoded]
    if (longest := max(map(len, ids))) > max_length:
        raise UserError(
            f"task.max_length={max_length}: a prompt has {longest} tokens; give as many, or shorter prompts"
        )
    columns = {"input_ids": ids, "attention_mask": [[1] * len(tokens) for tokens in ids]}
    return pack(columns, {"input_ids": tokenizer.pad_token_id or 0, "attention_mask": 0})
