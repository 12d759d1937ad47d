"""Texts that a model generates after the prompts of a test, and the file that carries them from the worker."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from effcomp.core.batches import Ragged, batches_by_length
from effcomp.core.progress import Progress
from effcomp.core.statistics import Floats
from effcomp.runtimes.base import Loaded
from effcomp.runtimes.decoding import up_to_stop

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class GeneratedTexts:
    """Generated texts, in the order of the prompts."""

    tokens: list[list[int]]
    """Token ids of each text, including the token that ended it."""
    losses: Floats
    """Summed loss of each text's tokens under the model that wrote it, in nats; (prompts,)."""
    ended: list[bool]
    """True for a text that ended with the end-of-text token or a stop string."""
    batch_size: int
    prefill_tokens_per_s: float
    """Tokens of all prompts (without padding) divided by the time until the first tokens."""
    decode_tokens_per_s: float | None
    """Tokens after the first of each text, divided by their time; None where there are none."""

    @property
    def losses_and_counts(self) -> Floats:
        """Return the losses and their numbers of tokens, (prompts, 2)."""
        return np.stack([self.losses, [float(len(of_one)) for of_one in self.tokens]], axis=1)

    def texts(self, tokenizer: "PreTrainedTokenizerBase", stop: list[str]) -> list[str]:
        """Decode the texts without special tokens, each up to its stop string."""
        texts: list[str] = tokenizer.batch_decode(self.tokens, skip_special_tokens=True)
        return [up_to_stop(text, stop) for text in texts]

    def renumbered(self, own: "PreTrainedTokenizerBase", other: "PreTrainedTokenizerBase") -> "GeneratedTexts":
        """Return the texts with the ids that the same tokens have in another tokenizer, which has them all."""
        tokens = [other.convert_tokens_to_ids(own.convert_ids_to_tokens(of_one)) for of_one in self.tokens]
        return replace(self, tokens=tokens)

    def save(self, file: Path) -> None:
        from safetensors.numpy import save_file

        lengths = np.array([len(one) for one in self.tokens], dtype=np.int64)
        arrays = {
            "tokens": np.array([token for one in self.tokens for token in one], dtype=np.int64),
            "lengths": lengths,
            "losses": self.losses,
            "ended": np.array(self.ended, dtype=np.uint8),
            "rates": np.array([self.batch_size, self.prefill_tokens_per_s, self.decode_tokens_per_s or 0.0]),
        }
        save_file(arrays, file)

    @classmethod
    def load(cls, file: Path) -> "GeneratedTexts":
        from safetensors.numpy import load_file

        arrays = load_file(file)
        ends = np.cumsum(arrays["lengths"])
        tokens = [part.tolist() for part in np.split(arrays["tokens"], ends[:-1])]
        batch_size, prefill, decode = arrays["rates"].tolist()
        ended = arrays["ended"].astype(bool).tolist()
        return cls(tokens, arrays["losses"], ended, int(batch_size), prefill, decode or None)


def generate_texts(
    model: Loaded, prompts: Ragged, batch_size: int, new_tokens: int, ended: Callable[[list[int]], bool]
) -> GeneratedTexts:
    """Generate a text after each prompt and return them in order; prompts of similar length are batched together.

    Args:
        new_tokens: maximum number of tokens generated after a prompt.
        ended: function that tells whether a text with these tokens is finished.
    """
    batches = batches_by_length(prompts.lengths, batch_size)
    model.decode(prompts.batch(batches[0], left=True), 2, ended)  # a runtime may compile the step for so many rows
    decoded = []
    with Progress("writing texts", len(prompts)) as progress:
        for indices in batches:
            decoded.append(model.decode(prompts.batch(indices, left=True), new_tokens, ended))
            progress.add(len(indices))
    order = np.argsort(np.concatenate(batches))
    tokens = [of_one for batch in decoded for of_one in batch.tokens]
    losses = np.array([loss for batch in decoded for loss in batch.losses])
    prefill_s = sum(batch.step_ns[0] for batch in decoded) / 1e9
    decode_s = sum(sum(batch.step_ns[1:]) for batch in decoded) / 1e9
    after_the_first = sum(len(of_one) - 1 for of_one in tokens)
    return GeneratedTexts(
        tokens=[tokens[index] for index in order],
        losses=losses[order],
        ended=[ended(tokens[index]) for index in order],
        batch_size=batch_size,
        prefill_tokens_per_s=int(prompts.lengths.sum()) / prefill_s,
        decode_tokens_per_s=after_the_first / decode_s if after_the_first else None,
    )
