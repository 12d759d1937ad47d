"""Perplexity of the outputs under a language model: the model that wrote them, or one fixed judge for all."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from effcomp.core.statistics import Floats
from effcomp.metrics.registry import Outputs, score
from effcomp.metrics.scores import CorpusScores, NoScore, check_pairs
from effcomp.models.heads import longest_sequence

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


NEVER = 1e-6
"""Largest accepted probability that a resample of the outputs has no token, and so no perplexity."""


def perplexity(
    prompts: Sequence[str],
    outputs: Sequence[str],
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    name: str,
) -> CorpusScores:
    """Return exp of the mean loss of all tokens of the outputs (lower is likelier), each given its prompt and the text
    before.

    Repetitive texts have a low perplexity: read it together with distinct-n. Perplexities under models with other
    tokenizers cannot be compared.

    With an empty prompt the first token is given the beginning-of-text token; where the tokenizer has none, the first
    token is not counted. Empty outputs have no token and do not count.

    Args:
        model: a decoder; its tokens are those of `tokenizer`.
        name: name of the model, for the name of the scores.

    Raises:
        ValueError: no outputs, or not a prompt for each.
        NoScore: one is longer than the model reads, or no token to count in any, or in nearly none.
    """
    check_pairs(outputs, prompts, "prompts")
    losses = np.array(
        [output_loss(prompt, output, model, tokenizer) for prompt, output in zip(prompts, outputs, strict=True)]
    )
    return of_losses(f"perplexity under {name}", losses)


def own_perplexity(losses: Floats) -> CorpusScores:
    """Return the perplexity under the model that wrote the outputs, greedily. A text that repeats itself has a low one.

    Args:
        losses: (outputs, 2): the summed loss of the output's tokens as they were written, in nats; and their number.

    Raises:
        NoScore: no token in any, or in nearly none.
    """
    return of_losses("perplexity under the model itself", losses)


def of_losses(name: str, losses: Floats) -> CorpusScores:
    counted = int((losses[:, 1] > 0).sum())
    if counted == 0:
        raise NoScore("no output has a token to count")
    if (1 - counted / len(losses)) ** len(losses) > NEVER:
        raise NoScore(f"{counted} of {len(losses)} outputs have a token to count: too few to resample")

    def score(summed: Floats) -> float:
        return math.exp(summed[0] / summed[1])

    return CorpusScores(name, losses, score)


def output_loss(
    prompt: str, output: str, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase"
) -> tuple[float, int]:
    """Return the summed loss of the output's tokens, in nats, and their number."""
    import torch

    start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    context = start + tokenizer(prompt, add_special_tokens=False)["input_ids"]
    written = tokenizer(output, add_special_tokens=False)["input_ids"]
    first = max(len(context), 1)
    tokens = torch.tensor([context + written], device=model.device)
    longest = longest_sequence(model.config.to_dict())
    if longest is not None and tokens.shape[1] > longest:
        raise NoScore(f"a prompt and its output have {tokens.shape[1]} tokens, the model reads {longest}")
    if tokens.shape[1] <= first:
        return 0.0, 0
    with torch.inference_mode():
        logits = model(tokens).logits[0, first - 1 : -1]
    return float(torch.nn.functional.cross_entropy(logits.float(), tokens[0, first:], reduction="sum")), len(logits)


@score("perplexity_self", share=False)
def perplexity_self(outputs: Outputs) -> CorpusScores:
    return own_perplexity(outputs.losses)


@score("perplexity_judge", share=False)
def perplexity_judge(outputs: Outputs) -> CorpusScores:
    return perplexity(outputs.prompts, outputs.texts, *outputs.readers.judge)
