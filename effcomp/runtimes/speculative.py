"""Speculative decoding with greedy choice (Leviathan et al. 2023, "Fast Inference from Transformers via Speculative
Decoding", section 2; Saxena 2023, "Prompt Lookup Decoding").

A draft proposes the next tokens, the model reads them all in one call, and keeps those that it would have chosen
itself. The text is that of plain greedy decoding, up to the rounding of a product over several tokens. One call reads
the weights once for several tokens, which pays where a token's time is that of reading the weights.
"""

import time
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from effcomp.core.batches import Batch
from effcomp.core.errors import UserError
from effcomp.runtimes.decoding import Decoded, log_sum_exp

DRAFTED = 4
"""Most tokens that are proposed for one call."""
ENDING = 3
"""Most tokens at the end of a text that the look-up searches the text for."""
Draft = Callable[[list[int], int], list[int]]
"""draft(text, count): at most so many tokens that may follow a text."""


class Reader(Protocol):
    """Language model with the cache of one text."""

    def begin(self, tokens: int) -> None:
        """Forget the text, and make room for one of so many tokens."""

    def read(self, tokens: Sequence[int], place: int, outputs: int) -> NDArray[np.float32]:
        """Forget the text from `place` on, and read these tokens there.

        Returns:
            The logits at the last tokens, (outputs, vocabulary).
        """

    def cache_bytes(self) -> int:
        """Return the bytes of keys and values."""


def look_up(text: list[int], count: int) -> list[int]:
    """Propose what followed the end of the text where it last stood before: its last ENDING tokens or fewer."""
    for length in range(min(ENDING, len(text) - 1), 0, -1):
        ending = text[-length:]
        for start in range(len(text) - length - 1, -1, -1):
            if text[start : start + length] == ending:
                return text[start + length : start + length + count]
    return []


class DraftModel:
    """Proposals of a smaller model, by greedy decoding."""

    def __init__(self, reader: Reader, longest: int | None) -> None:
        """Take the model; longest: number of tokens that it reads, None where unlimited."""
        self.reader, self.longest, self.known = reader, longest, list[int]()

    def begin(self, tokens: int) -> None:
        self.reader.begin(tokens)
        self.known = []

    def __call__(self, text: list[int], count: int) -> list[int]:
        """Read what is new in the text, and propose tokens one after another; none beyond what the model reads."""
        count = count if self.longest is None else min(count, self.longest - len(text))
        if count < 1:
            return []
        place = min(agreed(self.known, text), len(text) - 1)
        unread, proposed = text[place:], list[int]()
        while len(proposed) < count:
            proposed.append(int(self.reader.read(unread, place, 1)[0].argmax()))
            place, unread = place + len(unread), proposed[-1:]
        self.known = [*text, *proposed[:-1]]
        return proposed


def agreed(one: Sequence[int], other: Sequence[int]) -> int:
    """Return the number of first tokens that two texts share."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


class Speculation:
    """A model with a draft, and the counts over all texts that they have written."""

    def __init__(self, reader: Reader, model: DraftModel | None) -> None:
        """Take the model and its draft; None: prompt look-up."""
        self.reader, self.model = reader, model
        self.draft: Draft = look_up if model is None else model
        self.drafted = self.accepted = self.calls = 0

    def decode(self, batch: Batch, new_tokens: int, ended: Callable[[list[int]], bool]) -> Decoded:
        """Decode as effcomp.runtimes.decoding.decode does, a single text. The time of a call is divided evenly among
        the tokens that it gave.

        Raises:
            UserError: the batch has several texts.
        """
        if len(batch["input_ids"]) > 1:
            raise UserError("runtime.draft writes one text at a time; give batches of one, or runtime.draft=null")
        text = batch["input_ids"][0][batch["attention_mask"][0] == 1].tolist()
        for part in (self.reader, self.model):
            if part is not None:
                part.begin(len(text) + new_tokens)
        written, place, proposed = Decoded.empty(1), 0, list[int]()
        start = time.perf_counter_ns()
        while True:
            logits = self.reader.read([*text[place:], *proposed], place, 1 + len(proposed))
            chosen, losses = logits.argmax(axis=1).tolist(), (log_sum_exp(logits) - logits.max(axis=1)).tolist()
            right = agreed(proposed, chosen)
            spent = (time.perf_counter_ns() - start) // (right + 1)
            for token, loss in zip(chosen[: right + 1], losses, strict=False):
                written.step_ns.append(spent)
                written.add([token], [loss], ended)
                text.append(token)
                if not written.unfinished:
                    break
            if place > 0:  # the call that reads the prompt has no draft
                self.drafted += len(proposed)
                self.accepted += right
                self.calls += 1
            if not written.unfinished or len(written.step_ns) == new_tokens:
                written.cache_bytes = self.reader.cache_bytes()
                written.cache_bytes += self.model.reader.cache_bytes() if self.model is not None else 0
                return written
            start, place = time.perf_counter_ns(), len(text) - 1
            proposed = self.draft(text, min(DRAFTED, new_tokens - len(written.step_ns) - 1))
