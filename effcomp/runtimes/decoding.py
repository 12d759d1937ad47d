"""Greedy decoding with a cache, in PyTorch; one loop both generates texts and is timed."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

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
    """Stopping rule for timing: generate as many tokens as are asked for."""
    return False


def with_positions(inputs: "dict[str, Tensor]") -> "dict[str, Tensor]":
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
    written = Decoded([[] for _ in mask], [0.0] * len(mask))
    unfinished = set(range(len(mask)))
    with torch.inference_mode():
        start = time.perf_counter_ns()
        prompts = with_positions(inputs)
        outputs, positions = forward(**prompts, logits_to_keep=1, use_cache=True), prompts["position_ids"]
        while True:
            likeliest, token = (logits := outputs.logits[:, -1].float()).max(dim=-1)
            chosen, losses = token.tolist(), (logits.logsumexp(dim=-1) - likeliest).tolist()
            written.step_ns.append(time.perf_counter_ns() - start)  # a server sends each token when it has it
            for row in sorted(unfinished):
                written.tokens[row].append(chosen[row])
                written.losses[row] += losses[row]
                if ended(written.tokens[row]):
                    unfinished.remove(row)
            if not unfinished or len(written.step_ns) == new_tokens:
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
