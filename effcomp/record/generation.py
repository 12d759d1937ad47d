"""Quality and pace of generated texts, alone and against the baseline."""

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
    """Full name of the metric, with everything that changes the number: library and version or signature, encoder,
    layer, judge."""


class GenerationQuality(Row):
    """Texts that the compressed model writes after the test's prompts, by greedy decoding."""

    status: Literal["measured"] = "measured"
    """Quality was measured."""
    examples: int
    """Prompts of the test; all are used."""
    headline: str
    """Score that the verdict is about."""
    scores: Annotated[dict[str, TextScore], Named(TEXT_SCORES)]
    """Scores by their short names (task.metrics.scores)."""
    without_score: dict[str, str]
    """Scores that these texts do not have, each with its reason."""
    empty: int
    """Texts without any character."""
    ended_share: float
    """Share of texts that ended before task.new_tokens."""
    mean_tokens: float
    """Mean number of tokens in a text."""


class GenerationVersus(Row):
    """Texts of baseline and variant after the same prompts."""

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
    """Share of positions with the same token, over the positions of the longer text."""
    first_divergence_tokens: Interval
    """Tokens before the first one that differs."""
    identical_share: Interval
    """Share of texts that are equal to the end."""
    likeness: dict[str, TextScore]
    """Scores that compare with a reference, where the baseline's text is the reference."""
    differences: dict[str, Interval]
    """Variant minus baseline of each score, paired over prompts."""
    mcnemar_p: float | None
    """McNemar's exact test, where the headline is right or wrong; else None."""
    margin: float
    """Margin of non-inferiority: the largest drop of the headline that still counts as not worse (0.005: half a
    point)."""
    verdict: Literal["not worse", "worse", "undecided"]
    """`not worse`: the whole interval of the headline's difference lies above -margin; `worse`: below it."""


class Writing(Row):
    """Pace of generation over all prompts of the test; not interleaved with the baseline."""

    batch_size: int
    """Prompts of like length, padded on the left, in one batch, which goes on until its longest text has ended."""
    prefill_tokens_per_s: float
    """Tokens of the prompts (padding not counted) over the time to their first new tokens."""
    decode_tokens_per_s: float | None
    """New tokens but the first of each text, over the time they took; None where there are none."""
    baseline_prefill_tokens_per_s: float
    """Pace of the float32 baseline."""
    baseline_decode_tokens_per_s: float | None
    """Pace of the float32 baseline."""
