"""Greedy decoding with a cache: for PyTorch's tensors, and for engines that take arrays. One loop both generates texts
and is timed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from effcomp.artifact.file_format import POSITIONS
from effcomp.core.batches import Batch

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase


@dataclass
class Decoded:
    """Tokens that a model generated after a batch of prompts."""

    tokens: list[list[int]]
    """For each prompt, with the token that ended it."""
    losses: list[float]
    """For each prompt, the negative log-likelihood of its generated tokens in nats, summed."""
    step_ns: list[int] = field(default_factory=list)
    """Nanoseconds from the prompts to their first tokens on the host, then for each further token of the batch."""
    cache_bytes: int | None = None
    """Bytes of the keys and values of all texts at the end, as the engine holds them."""
    unfinished: set[int] = field(init=False)
    """Prompts whose texts go on."""

    def __post_init__(self) -> None:
        self.unfinished = set(range(len(self.tokens)))

    @classmethod
    def empty(cls, prompts: int) -> "Decoded":
        """Return the beginning of so many texts."""
        return cls([[] for _ in range(prompts)], [0.0] * prompts)

    def add(self, chosen: Sequence[int], losses: Sequence[float], ended: Callable[[list[int]], bool]) -> None:
        """Append a token and its loss to each text that goes on."""
        for row in sorted(self.unfinished):
            self.tokens[row].append(chosen[row])
            self.losses[row] += losses[row]
            if ended(self.tokens[row]):
                self.unfinished.remove(row)


@dataclass(frozen=True)
class Ending:
    """Stopping rule: the end-of-text token, or a text that contains one of some strings."""

    tokenizer: "PreTrainedTokenizerBase"
    stop: list[str]

    def __call__(self, tokens: list[int]) -> bool:
        if tokens[-1] == self.tokenizer.eos_token_id:
            return True
        return bool(self.stop) and any(string in self.tokenizer.decode(tokens) for string in self.stop)


def up_to_stop(text: str, stop: list[str]) -> str:
    """Cut a written text before the first of these strings."""
    return text[: min((at for string in stop if (at := text.find(string)) >= 0), default=None)]


def never(tokens: list[int]) -> bool:
    """Return False: in timing, generation writes exactly the number of tokens asked for."""
    return False


def with_position_ids(inputs: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """Add each token's position in its text to a batch; padding before the text does not count."""
    return {**inputs, "position_ids": (inputs["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)}


def decode(
    forward: Any, inputs: "dict[str, Tensor]", new_tokens: int, ended: Callable[[list[int]], bool] = never
) -> Decoded:
    """Append the likeliest token, again and again, to each prompt of a batch.

    Args:
        forward: a decoder of transformers.
        inputs: input_ids and attention_mask, each (batch, longest), padded on the left.
        new_tokens: limit of generated tokens; at least 1.
        ended: returns True for the tokens of a finished text. The batch continues until all texts are finished.
    """
    import torch

    mask = inputs["attention_mask"]
    written = Decoded.empty(len(mask))
    with torch.inference_mode():
        start = time.perf_counter_ns()
        prompts = with_position_ids(inputs)
        outputs, positions = forward(**prompts, logits_to_keep=1, use_cache=True), prompts["position_ids"]
        while True:
            likeliest, token = (logits := outputs.logits[:, -1].float()).max(dim=-1)
            chosen, losses = token.tolist(), (logits.logsumexp(dim=-1) - likeliest).tolist()
            written.step_ns.append(time.perf_counter_ns() - start)  # a server sends each token when it has it
            written.add(chosen, losses, ended)
            if not written.unfinished or len(written.step_ns) == new_tokens:
                written.cache_bytes = cache_bytes(outputs.past_key_values)
                return written
            mask, positions = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1), positions[:, -1:] + 1
            start = time.perf_counter_ns()
            outputs = forward(
                input_ids=token[:, None],
                attention_mask=mask,
                position_ids=positions,
                past_key_values=outputs.past_key_values,
                use_cache=True,
            )


def cache_bytes(cache: Any) -> int:
    """Return the bytes of keys and values in a cache of transformers; 0 where there is none."""
    return sum(part.nbytes for layer in getattr(cache, "layers", []) for part in (layer.keys, layer.values))


def decode_arrays(
    step: Callable[[Batch], NDArray[np.float32]], batch: Batch, new_tokens: int, ended: Callable[[list[int]], bool]
) -> Decoded:
    """Decode as `decode` does, with an engine that keeps its own cache.

    Args:
        step: from the new tokens (input_ids and position_ids, attention_mask of all tokens, `positions` of the last) to
            its logits, (batch, vocabulary).
        batch: input_ids and attention_mask, each (batch, longest), padded on the left.
    """
    mask, tokens = batch["attention_mask"], batch["input_ids"]
    written, rows = Decoded.empty(len(mask)), np.arange(len(mask))
    start = time.perf_counter_ns()
    places = np.maximum(mask.cumsum(axis=1) - 1, 0)
    while True:
        last = np.array([tokens.shape[1] - 1])
        given = {"input_ids": tokens, "attention_mask": mask, "position_ids": places, POSITIONS: last}
        logits = step({**given, "beam_idx": rows}).astype(np.float32)
        chosen = logits.argmax(axis=-1)
        losses = log_sum_exp(logits) - logits[rows, chosen]
        written.step_ns.append(time.perf_counter_ns() - start)
        written.add(chosen.tolist(), losses.tolist(), ended)
        if not written.unfinished or len(written.step_ns) == new_tokens:
            return written
        start = time.perf_counter_ns()
        tokens, places = chosen[:, None], places[:, -1:] + 1
        mask = np.concatenate([mask, np.ones_like(mask[:, :1])], axis=1)


def log_sum_exp(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return log(sum(exp(logits))) of each row."""
    highest = logits.max(axis=1)
    found: NDArray[np.float32] = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
    return found
