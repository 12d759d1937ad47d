"""Semantic coherence score: similarity of neighbouring sentences, compared with that of all other pairs.

docs/coherence.md has its definition, limits and validation.
"""

import re
from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from effcomp.core.interval import Interval
from effcomp.core.statistics import Floats, mean_interval
from effcomp.metrics.encoder import SentenceEncoder
from effcomp.metrics.scores import NoScore, Scores


def coherence(texts: Sequence[str], scale: Interval, encoder: SentenceEncoder, language: str = "en") -> Scores:
    """Return the score of each text: 0 for sentences in random order, 1 for the mean of the texts that `scale` comes
    from. Single texts may lie far outside of 0 to 1; only means are meaningful.

    Args:
        scale: mean contrast of true texts of the same kind and length, by the same encoder: `calibrate`.
        language: ISO 639 code, for the splitting into sentences.

    Raises:
        ValueError: no texts.
    """
    if not texts:
        raise ValueError("there is no output to score")
    name = f"semantic coherence ({encoder.name}, {language}, scale {scale.value:.4g})"
    return Scores(name, contrasts(texts, encoder, language) / scale.value)


def calibrate(corpus: Sequence[str], encoder: SentenceEncoder, seed: int, language: str = "en") -> Interval:
    """Return the mean contrast of true texts, at which the score is 1.

    Raises:
        NoScore: fewer than 2 texts, or their contrast does not differ from 0, so that they give no scale.
    """
    if len(corpus) < 2:
        raise NoScore(f"{len(corpus)} true texts give no scale: give 2 or more, better 100")
    scale = mean_interval(contrasts(corpus, encoder, language), seed)
    if scale.low <= 0:
        raise NoScore(
            f"the order of these {len(corpus)} true texts cannot be told from a random one "
            f"(contrast {scale.value:.4f} [{scale.low:.4f}, {scale.high:.4f}]): give more or longer ones"
        )
    return scale


def contrasts(texts: Sequence[str], encoder: SentenceEncoder, language: str) -> Floats:
    """Return the contrast of each text, (texts,). Repeated sentences are left out, and the contrast is multiplied by
    the share of those that remain.
    """
    found = [sentences(text, language) for text in texts]
    new = [distinct(of_one) for of_one in found]
    embeddings = encoder([sentence for of_one in new for sentence in of_one])
    starts = accumulate((len(of_one) for of_one in new), initial=0)
    return np.array(
        [
            contrast(embeddings[start:end]) * len(kept) / len(of_one) if len(kept) >= 3 else 0.0
            for (start, end), kept, of_one in zip(pairwise(starts), new, found, strict=True)
        ]
    )


def contrast(embeddings: Floats) -> float:
    """Return the mean cosine similarity of neighbouring sentences minus that of all other pairs of the same text.

    Over all orders of the sentences its mean is exactly 0, because each pair is neighbours equally often.

    Args:
        embeddings: (sentences, width), of unit length; at least 3 sentences.
    """
    similarities = embeddings @ embeddings.T
    return float(np.diag(similarities, 1).mean() - similarities[np.triu_indices(len(embeddings), 2)].mean())


def sentences(text: str, language: str) -> list[str]:
    """Return the sentences that have at least one letter or digit."""
    from sentencex import segment

    return [sentence.strip() for sentence in segment(language, text) if words(sentence)]


def distinct(of_one: Sequence[str]) -> list[str]:
    """Return the sentences without later repetitions; case and punctuation are ignored."""
    first: dict[tuple[str, ...], str] = {}
    for sentence in of_one:
        first.setdefault(words(sentence), sentence)
    return list(first.values())


def words(sentence: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", sentence.casefold()))
