"""Diversity of the wording: distinct-n (Li et al. 2016, "A Diversity-Promoting Objective Function for Neural
Conversation Models", section 5).

Tokens are divided by white space. No n-gram crosses from one text to the next.
"""

from collections.abc import Sequence

import numpy as np

from effcomp.metrics.registry import Outputs, score
from effcomp.metrics.scores import Scores


def distinct_n(texts: Sequence[str], n: int) -> Scores:
    """Return the share of distinct n-grams among the n-grams of each text, from 0 to 1; 0 for a text of fewer than n
    tokens.

    Raises:
        ValueError: no texts.
    """
    if not texts:
        raise ValueError("there is no output to score")
    return Scores(f"distinct-{n} within texts", np.array([share_distinct(ngrams(text, n)) for text in texts]))


def corpus_distinct_n(texts: Sequence[str], n: int) -> float:
    """Return the paper's number: distinct n-grams of all texts over n-grams of all texts, from 0 to 1; 0 if there are
    none.

    It falls as texts are added. A text that is drawn twice adds no distinct n-gram, so a bootstrap over texts is biased
    low: the number has no interval. Compare it only between models with equal numbers of tokens.
    """
    return share_distinct([gram for text in texts for gram in ngrams(text, n)])


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    tokens = text.split()
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


def share_distinct(grams: Sequence[tuple[str, ...]]) -> float:
    return len(set(grams)) / len(grams) if grams else 0.0


@score("distinct_1")
def distinct_words(outputs: Outputs) -> Scores:
    return distinct_n(outputs.texts, 1)


@score("distinct_2")
def distinct_pairs(outputs: Outputs) -> Scores:
    return distinct_n(outputs.texts, 2)
