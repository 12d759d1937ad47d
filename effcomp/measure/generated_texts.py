"""Texts that a model generated after the prompts of a test, and the file that carries them from the worker."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from effcomp.core.statistics import Floats
from effcomp.runtimes.decoding import up_to_stop

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Written:
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

    def renumbered(self, own: "PreTrainedTokenizerBase", other: "PreTrainedTokenizerBase") -> "Written":
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
    def load(cls, file: Path) -> "Written":
        from safetensors.numpy import load_file

        arrays = load_file(file)
        ends = np.cumsum(arrays["lengths"])
        tokens = [part.tolist() for part in np.split(arrays["tokens"], ends[:-1])]
        batch_size, prefill, decode = arrays["rates"].tolist()
        ended = arrays["ended"].astype(bool).tolist()
        return cls(tokens, arrays["losses"], ended, int(batch_size), prefill, decode or None)
