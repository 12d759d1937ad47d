"""How likely a language model finds the outputs: the model that wrote them, or one fixed judge for all."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from effcomp.metrics.scores import CorpusScores, check_pairs
from effcomp.statistics import Floats

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def perplexity(
    prompts: Sequence[str],
    outputs: Sequence[str],
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    name: str,
) -> CorpusScores:
    """exp of the mean loss of all tokens of the outputs (lower is likelier), each given its prompt and the text before.

    Texts that repeat themselves are likely: read it beside distinct-n. Perplexities under models with other tokenizers
    cannot be compared.

    With an empty prompt the first token is given the beginning-of-text token; where the tokenizer has none, the first
    token is not counted. Empty outputs have no token and do not count.

    Args:
        model: a decoder; its tokens are those of `tokenizer`.
        name: what the name of the scores calls the model.

    Raises:
        ValueError: no outputs, not a prompt for each, one is longer than the model reads, or no token to count in any.
    """
    check_pairs(outputs, prompts, "prompts")
    losses = np.array(
        [output_loss(prompt, output, model, tokenizer) for prompt, output in zip(prompts, outputs, strict=True)]
    )
    if not losses[:, 1].any():
        raise ValueError("no output has a token to count")

    def score(summed: Floats) -> float:
        return math.exp(summed[0] / summed[1])

    return CorpusScores(f"perplexity under {name}", losses, score)


def output_loss(
    prompt: str, output: str, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase"
) -> tuple[float, int]:
    """The loss of the output's tokens, in nats, summed; and how many they are."""
    import torch

    start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    context = start + tokenizer(prompt, add_special_tokens=False)["input_ids"]
    written = tokenizer(output, add_special_tokens=False)["input_ids"]
    first = max(len(context), 1)
    tokens = torch.tensor([context + written], device=model.device)
    longest = model.config.max_position_embeddings
    if tokens.shape[1] > longest:
        raise ValueError(f"a prompt and its output have {tokens.shape[1]} tokens, the model reads {longest}")
    if tokens.shape[1] <= first:
        return 0.0, 0
    with torch.inference_mode():
        logits = model(tokens).logits[0, first - 1 : -1]
    return float(torch.nn.functional.cross_entropy(logits.float(), tokens[0, first:], reduction="sum")), len(logits)
