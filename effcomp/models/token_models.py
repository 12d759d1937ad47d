"""Token models of a tokenizer: the `model` of tokenizer.json, from which tokens can be taken.

A text whose tokens all stay keeps its tokens: WordPiece takes the longest token that matches, Unigram the best path,
and both stay the longest and the best among fewer; byte-pair encoding also needs the tokens on the way (`steps`).
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from itertools import pairwise
from math import inf
from typing import Any

from effcomp.core.errors import UserError

BYTE = re.compile(r"<0x[0-9A-F]{2}>")
"""Token of a single byte, where the alphabet is of characters."""


class TokenModel(ABC):
    """Base class of token models. To add one: a subclass, an entry in TOKEN_MODELS, a test."""

    def __init__(self, model: dict[str, Any]) -> None:
        """Read the `model` of a tokenizer.json; `keep` changes it in place.

        Raises:
            UserError: it has settings that are not known here.
        """
        self.model = model
        self.vocabulary = self.read_vocabulary()

    def read_vocabulary(self) -> dict[str, int]:
        """Return the id of each token, without the added ones."""
        found: dict[str, int] = self.model["vocab"]
        return found

    def always(self) -> set[str]:
        """Return the tokens of what has no other: of unknown words, and of single bytes."""
        found = {token for token in self.vocabulary if self.byte_fallback and BYTE.fullmatch(token)}
        return found | ({self.model["unk_token"]} if self.model.get("unk_token") else set())

    @property
    def byte_fallback(self) -> bool:
        """Tell whether a character without a token is spelled in tokens of its bytes."""
        return bool(self.model.get("byte_fallback"))

    def characters(self, token: str) -> list[str]:
        """Return the tokens that spell a token in single characters, whether they exist or not."""
        return [letter for letter in token if letter in self.vocabulary or not self.byte_fallback]

    def steps(self, token: str) -> set[str]:
        """Return the tokens without which this one is not found."""
        return set()

    @abstractmethod
    def keep(self, ids: Mapping[str, int]) -> None:
        """Take all other tokens away and give the kept ones these ids, which count up in the old order."""


class WordPiece(TokenModel):
    """Longest match first (Wu et al. 2016, "Google's Neural Machine Translation System", section 4.1)."""

    def characters(self, token: str) -> list[str]:
        prefix = self.model["continuing_subword_prefix"]
        inner = token.startswith(prefix) and token != prefix
        letters = token.removeprefix(prefix) if inner else token
        return [f"{prefix}{letter}" if inner or index else letter for index, letter in enumerate(letters)]

    def keep(self, ids: Mapping[str, int]) -> None:
        self.model["vocab"] = {token: ids[token] for token in self.vocabulary if token in ids}


class BytePair(TokenModel):
    """Merges of adjacent tokens, the earliest merge of the list first (Sennrich et al. 2016, "Neural Machine
    Translation of Rare Words with Subword Units", section 3.2), of characters or of bytes."""

    def __init__(self, model: dict[str, Any]) -> None:
        super().__init__(model)
        for setting in ("continuing_subword_prefix", "end_of_word_suffix"):
            if model.get(setting):
                raise UserError(f"its byte pairs have a {setting}, {model[setting]!r}")
        self.ranks = {(first, second): rank for rank, (first, second) in enumerate(model["merges"])}

    def steps(self, token: str) -> set[str]:
        pieces, found = list(token), set[str]()
        while len(pieces) > 1:
            rank, index = min((self.ranks.get(pair, inf), index) for index, pair in enumerate(pairwise(pieces)))
            if rank == inf:
                break
            pieces[index : index + 2] = ["".join(pieces[index : index + 2])]
            found.add(pieces[index])
        return found

    def keep(self, ids: Mapping[str, int]) -> None:
        self.model["vocab"] = {token: ids[token] for token in self.vocabulary if token in ids}
        self.model["merges"] = [
            [first, second]
            for first, second in self.model["merges"]
            if first in ids and second in ids and first + second in ids
        ]


class Unigram(TokenModel):
    """Most likely sequence of tokens (Kudo 2018, "Subword Regularization", section 3.2)."""

    def read_vocabulary(self) -> dict[str, int]:
        return {token: index for index, (token, _) in enumerate(self.model["vocab"])}

    def always(self) -> set[str]:
        unknown = self.model["unk_id"]
        return super().always() | ({self.model["vocab"][unknown][0]} if unknown is not None else set())

    def keep(self, ids: Mapping[str, int]) -> None:
        unknown = self.model["unk_id"]
        if unknown is not None:
            self.model["unk_id"] = ids[self.model["vocab"][unknown][0]]
        self.model["vocab"] = [entry for entry in self.model["vocab"] if entry[0] in ids]


TOKEN_MODELS: dict[str, type[TokenModel]] = {"WordPiece": WordPiece, "BPE": BytePair, "Unigram": Unigram}
"""By the `type` of the `model` in tokenizer.json."""
