"""Token ids for a model that has no tokenizer: an architecture with random weights, measured for speed alone."""

import numpy as np

from effcomp.core.batches import Ragged, pack
from effcomp.tasks.base import Examples

TOKENS_PER_WORD = 1.3
"""Approximate number of tokens in an English word, by subword tokenizers."""


def synthetic_tokens(examples: Examples, vocabulary: int, max_length: int, seed: int) -> Ragged:
    """Return random ids in sequences of the texts' lengths in words; the record calls them synthetic."""
    generator = np.random.default_rng(seed)
    pairs = examples.pairs or ("",) * len(examples)
    words = [len(text.split()) + len(pair.split()) for text, pair in zip(examples.texts, pairs, strict=True)]
    lengths = [min(max_length, int(count * TOKENS_PER_WORD) + 2) for count in words]
    ids = [generator.integers(1, vocabulary, length).tolist() for length in lengths]
    columns = {"input_ids": ids, "attention_mask": [[1] * length for length in lengths]}
    return pack(columns, {"input_ids": 0, "attention_mask": 0})
