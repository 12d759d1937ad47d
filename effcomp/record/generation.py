"""What a model writes, alone and against its baseline."""

from typing import Annotated, Literal

from effcomp.core.interval import Interval
from effcomp.record.quantity import Named, Quantity
from effcomp.record.row import Row

RIGHT = ("more often right", "less often right")
TEXT_SCORES = {
    "strict_match": Quantity(
        "exact match (strict)", "%", scale=100, digits=1, better="higher", words=RIGHT, objective=True
    ),
    "flexible_match": Quantity(
        "exact match (flexible)",
        "%",
        scale=100,
        digits=1,
        better="higher",
        words=RIGHT,
        objective=True,
        headline="exact_match",
    ),
    "rougeL": Quantity("ROUGE-L", "%", scale=100, digits=1, better="higher", objective=True, headline="rouge_l"),
    "bertscore": Quantity("BERTScore", "%", scale=100, digits=1, better="higher", objective=True),
    "perplexity_judge": Quantity("perplexity under the judge", better="lower", objective=True, column=True, brief=True),
}
"""Scores of texts that can be optimized, by the short names in `scores`."""


class TextScore(Interval):
    """A score of texts with its 95 % interval over them."""

    metric: str
    """In full, with all that changes the number: the library and its version or signature, encoder, layer, judge."""


class GenerationQuality(Row):
    """What the compressed model writes behind the test's prompts, greedily."""

    status: Literal["measured"] = "measured"
    """There is a number."""
    examples: int
    """Prompts: all of the test."""
    headline: str
    """The score that the verdict is about."""
    scores: Annotated[dict[str, TextScore], Named(TEXT_SCORES)]
    """By their short names: task.metrics.scores."""
    without_score: dict[str, str]
    """Those of them that these texts do not have, each with its reason."""
    empty: int
    """Texts without a character."""
    ended_share: float
    """Texts that ended by themselves, before task.new_tokens."""
    mean_tokens: float
    """Tokens of a text."""


class GenerationVersus(Row):
    """Baseline and variant behind the same prompts."""

    identical_tokens: Annotated[
        Interval,
        Quantity(
            "tokens as the baseline's",
            "%",
            scale=100,
            digits=1,
            better="higher",
            words=("nearer to the baseline", "further from the baseline"),
            objective=True,
            column=True,
        ),
    ]
    """The share of places with the same token, of the longer text's."""
    first_divergence_tokens: Interval
    """How many tokens are the same before the first that is not."""
    identical_share: Interval
    """Texts that are the same to the end."""
    likeness: dict[str, TextScore]
    """The scores that compare with a reference, with the baseline's text for it."""
    differences: dict[str, Interval]
    """Variant minus baseline of each score, paired over prompts."""
    mcnemar_p: float | None
    """McNemar's exact test, where the headline is right or wrong; else None."""
    margin: float
    """How much lower the headline may be and still count as not worse (0.005: half a point)."""
    verdict: Literal["not worse", "worse", "undecided"]
    """`not worse`: the whole interval of the headline's difference lies above -margin; `worse`: below it."""


class Writing(Row):
    """The pace at which all prompts of the test were written on, not in turn with the baseline."""

    batch_size: int
    """Prompts of like length, padded on the left, in one batch, which goes on until its longest text has ended."""
    prefill_tokens_per_s: float
    """Tokens of the prompts (padding not counted) over the time to their first new tokens."""
    decode_tokens_per_s: float | None
    """New tokens but the first of each text, over the time they took; None where there are none."""
    baseline_prefill_tokens_per_s: float
    """The float32 baseline's."""
    baseline_decode_tokens_per_s: float | None
    """The float32 baseline's."""
