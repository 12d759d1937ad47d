"""Quality of a model, alone and against its baseline."""

from typing import Annotated, Literal

from effcomp.core.interval import Interval
from effcomp.record.quantity import Quantity
from effcomp.record.row import Row

ACCURATE = ("more accurate", "less accurate")


class ClassQuality(Row):
    """Scores of a single class."""

    precision: float
    """Share of the examples predicted as this class that belong to it."""
    recall: float
    """Share of the examples of this class that were predicted as such."""
    f1: float
    """Harmonic mean of precision and recall."""
    examples: int
    """Test examples of this class."""


class GroupQuality(Row):
    """Scores of a part of the test examples, say one language."""

    examples: int
    """Examples of this part."""
    accuracy: Annotated[
        Interval, Quantity("accuracy {key}", "%", scale=100, digits=1, better="higher", words=ACCURATE, column=True)
    ]
    """Share of right predictions."""
    macro_f1: Interval
    """The mean of the classes' F1."""


class Quality(Row):
    """Quality of a classifier on the test examples."""

    status: Literal["measured"] = "measured"
    """Quality was measured."""
    examples: int
    """Test examples; the whole split is scored."""
    accuracy: Annotated[
        Interval,
        Quantity(
            "accuracy",
            "%",
            scale=100,
            digits=1,
            better="higher",
            words=ACCURATE,
            objective=True,
            column=True,
            headline="accuracy",
        ),
    ]
    """Share of right predictions; BCa bootstrap over examples."""
    macro_f1: Annotated[
        Interval, Quantity("macro-F1", "%", scale=100, digits=1, better="higher", objective=True, headline="macro_f1")
    ]
    """The mean of the classes' F1."""
    loss: Interval
    """Cross-entropy in nats."""
    calibration_error: float
    """Expected calibration error, 15 bins (Guo et al. 2017, section 2). Plain, because it is biased where the model is
    well calibrated, so that bootstrap intervals do not hold (Kumar et al. 2019, "Verified Uncertainty Calibration")."""
    per_class: dict[str, ClassQuality]
    """Classes by label, in the order of the logits."""
    per_group: dict[str, GroupQuality]
    """Groups by name (XNLI: each language); empty where the task has none."""
    group_mean_accuracy: float | None
    """The mean of the groups' accuracies; None where the task has no groups."""
    confusion_matrix: list[list[int]]
    """Rows are true labels, columns predictions, in the order of per_class."""


class LanguageQuality(Row):
    """Quality of a language model on the test text."""

    status: Literal["measured"] = "measured"
    """Quality was measured."""
    blocks: int
    """Sequences of the test text; all are scored."""
    tokens: int
    """Predicted tokens: all for a decoder, the masked ones for an encoder."""
    loss: Annotated[Interval, Quantity("loss", "nats a token", digits=3, better="lower", objective=True)]
    """Cross-entropy in nats a token; intervals are over blocks."""
    perplexity: Annotated[
        Interval, Quantity("perplexity", better="lower", objective=True, column=True, headline="perplexity")
    ]
    """exp(loss): by the model's own tokens, so not comparable between tokenizers."""
    word_perplexity: Interval | None
    """exp(loss by white-space separated words); None for masked models, and where no number holds it: texts without
    spaces are one word."""
    bits_per_byte: Annotated[
        Interval | None, Quantity("bits per byte", digits=3, better="lower", objective=True, column=True)
    ]
    """Bits per byte of UTF-8 text; comparable between tokenizers. None for masked models."""


class NotMeasured(Row):
    """Reason why no quality is given; no number can be mistaken for one."""

    status: Literal["not measured"] = "not measured"
    """Quality was not measured."""
    reason: str
    """The reason."""


class VersusBaseline(Row):
    """Comparison of baseline and variant on the same examples."""

    accuracy_difference: Annotated[
        Interval,
        Quantity(
            "accuracy difference",
            "points",
            scale=100,
            digits=1,
            better="higher",
            words=ACCURATE,
            objective=True,
            column=True,
            signed=True,
            headline="accuracy_difference",
        ),
    ]
    """Variant minus baseline, paired (Bonett and Price 2012)."""
    macro_f1_difference: Interval | None = None
    """Variant minus baseline, paired bootstrap (BCa)."""
    mcnemar_p: float
    """McNemar's exact test: the probability of so uneven a change if neither model were better."""
    flipped_share: float
    """Examples whose predicted label changed."""
    flipped_to_wrong: int
    """Examples that only the baseline gets right."""
    flipped_to_right: int
    """Examples that only the variant gets right."""
    margin: float
    """Margin of non-inferiority: the largest drop of accuracy that still counts as not worse (0.005: half a point)."""
    verdict: Literal["not worse", "worse", "undecided"]
    """`not worse`: the whole interval lies above -margin; `worse`: below it."""


class LanguageVersus(Row):
    """Comparison of baseline and variant on the same blocks, with the same tokens to predict."""

    loss_difference: Annotated[
        Interval,
        Quantity(
            "loss difference",
            "nats",
            digits=4,
            better="lower",
            objective=True,
            column=True,
            signed=True,
            headline="loss_difference",
        ),
    ]
    """Variant minus baseline in nats a token, paired over blocks; more is worse."""
    perplexity_ratio: Interval
    """Variant over baseline."""
    margin: float
    """Margin of non-inferiority: the largest rise of the loss, in nats a token, that still counts as not worse."""
    verdict: Literal["not worse", "worse", "undecided"]
    """`not worse`: the whole interval of the loss difference lies below the margin."""
