"""Perplexity of outputs against transformers' own loss."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from effcomp.metrics.perplexity import perplexity

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    Decoder = tuple[PreTrainedModel, PreTrainedTokenizerBase]

PROMPT, OUTPUT = "the film was", " a long film about people"


@pytest.fixture(scope="module")
def decoder(tiny_gpt2: Path) -> "Decoder":
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(tiny_gpt2).eval(), AutoTokenizer.from_pretrained(tiny_gpt2)


def transformers_loss(decoder: "Decoder", context: list[int], output: list[int]) -> float:
    """The mean loss of the output's tokens as transformers computes it where the context's labels are masked."""
    import torch

    model, _ = decoder
    labels = torch.tensor([[-100] * len(context) + output])
    with torch.inference_mode():
        return float(model(torch.tensor([context + output]), labels=labels).loss)


def ids(decoder: "Decoder", text: str) -> list[int]:
    found: list[int] = decoder[1](text, add_special_tokens=False)["input_ids"]
    return found


def test_it_is_exp_of_transformers_own_loss_of_the_output_alone(decoder: "Decoder") -> None:
    context = [decoder[1].bos_token_id, *ids(decoder, PROMPT)]
    expected = math.exp(transformers_loss(decoder, context, ids(decoder, OUTPUT)))
    scores = perplexity([PROMPT], [OUTPUT], *decoder, "tiny")
    assert scores.value == pytest.approx(expected, rel=1e-5)
    assert scores.name == "perplexity under tiny"


def test_every_token_of_the_corpus_counts_the_same(decoder: "Decoder") -> None:
    short, long = perplexity([PROMPT], [" a"], *decoder, "tiny"), perplexity([PROMPT], [OUTPUT], *decoder, "tiny")
    both = perplexity([PROMPT] * 2, [" a", OUTPUT], *decoder, "tiny")
    (loss_1, tokens_1), (loss_2, tokens_2) = short.counts[0], long.counts[0]
    assert both.value == pytest.approx(math.exp((loss_1 + loss_2) / (tokens_1 + tokens_2)))
    interval = both.interval(seed=0)
    assert interval.low <= both.value <= interval.high


def test_with_an_empty_prompt_the_first_token_follows_the_beginning_of_text(decoder: "Decoder") -> None:
    expected = math.exp(transformers_loss(decoder, [decoder[1].bos_token_id], ids(decoder, OUTPUT)))
    assert perplexity([""], [OUTPUT], *decoder, "tiny").value == pytest.approx(expected, rel=1e-5)


def test_without_a_beginning_of_text_the_first_token_is_not_counted(tiny_gpt2: Path, decoder: "Decoder") -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_gpt2)
    tokenizer.bos_token = None
    first, *rest = ids(decoder, OUTPUT)
    scores = perplexity([""], [OUTPUT], decoder[0], tokenizer, "tiny")
    assert scores.value == pytest.approx(math.exp(transformers_loss(decoder, [first], rest)), rel=1e-5)
    assert scores.counts[0, 1] == len(rest)


def test_empty_outputs_do_not_count_and_nothing_but_empty_ones_is_refused(decoder: "Decoder") -> None:
    alone = perplexity([PROMPT], [OUTPUT], *decoder, "tiny")
    assert perplexity([PROMPT, ""] * 10, [OUTPUT, ""] * 10, *decoder, "tiny").value == pytest.approx(alone.value)
    with pytest.raises(ValueError, match="1 of 2 outputs have a token to count"):
        perplexity([PROMPT, ""], [OUTPUT, ""], *decoder, "tiny")
    with pytest.raises(ValueError, match="no output has a token to count"):
        perplexity([PROMPT], [""], *decoder, "tiny")


def test_what_the_model_cannot_read_or_pair_is_refused(decoder: "Decoder") -> None:
    with pytest.raises(ValueError, match="the model reads 128"):
        perplexity([PROMPT], [OUTPUT * 100], *decoder, "tiny")
    with pytest.raises(ValueError, match="1 outputs cannot be paired with 2 prompts"):
        perplexity(["a", "b"], [OUTPUT], *decoder, "tiny")
