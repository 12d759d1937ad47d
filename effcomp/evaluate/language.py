"""Scores of a language model from the losses of its blocks, alone and against its baseline."""

import math
import sys

import numpy as np
from numpy.typing import NDArray

from effcomp.core import statistics
from effcomp.core.interval import Interval
from effcomp.record import LanguageQuality, LanguageVersus
from effcomp.tasks.encoding import TextSize

LARGEST_EXPONENT = math.log(sys.float_info.max)
Losses = NDArray[np.float64]
"""Losses of blocks, (blocks, 2): the sum in nats, and the number of predicted tokens."""


def score_blocks(losses: Losses, size: TextSize | None, seed: int) -> LanguageQuality:
    """Return loss and perplexity, with intervals over blocks.

    Args:
        size: words and bytes of the text; None for masked models, which predict a share of it.
    """
    loss = statistics.ratio_of_sums(losses[:, 0], losses[:, 1], seed)
    tokens = int(losses[:, 1].sum())
    return LanguageQuality(
        blocks=len(losses),
        tokens=tokens,
        loss=loss,
        perplexity=transformed(loss, 1.0),
        word_perplexity=per_word(loss, tokens / size.words) if size else None,
        bits_per_byte=loss.scaled(tokens / size.utf8_bytes / math.log(2)) if size else None,
    )


def compare_blocks(baseline: Losses, variant: Losses, margin: float, seed: int) -> LanguageVersus:
    """Compare the variant with the baseline on the same blocks, with the same tokens to predict."""
    difference = statistics.ratio_of_sums(variant[:, 0] - baseline[:, 0], baseline[:, 1], seed)
    return LanguageVersus(
        loss_difference=difference,
        perplexity_ratio=transformed(difference, 1.0),
        margin=margin,
        verdict=statistics.verdict(difference.scaled(-1), margin),
    )


def per_word(loss: Interval, tokens: float) -> Interval | None:
    """Return the perplexity of a word of so many tokens; None where no number holds it: texts without spaces are one
    word."""
    return transformed(loss, tokens) if loss.high * tokens < LARGEST_EXPONENT else None


def transformed(interval: Interval, factor: float) -> Interval:
    """Return exp(factor * loss); the function is increasing, so the bounds map to the bounds."""
    value, low, high = (math.exp(number * factor) for number in (interval.value, interval.low, interval.high))
    return Interval(value=value, low=low, high=high)
