"""Agreement of the compressed model's outputs with the uncompressed one's, token for token."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from effcomp.metrics.scores import Scores, check_pairs


@dataclass(frozen=True)
class Agreement:
    """Agreement of two models' outputs for the same prompts. The models must share a tokenizer."""

    identical_tokens: Scores
    """Share of positions with the same token, of the longer output's length; 1 where both are empty."""
    first_divergence: Scores
    """Number of tokens before the first that differs or that one of the two lacks; all tokens where the outputs are
    identical."""
    identical: NDArray[np.bool_]
    """True for each example whose outputs are equal to the end; (examples,)."""


def agreement(outputs: Sequence[Sequence[int]], baseline: Sequence[Sequence[int]]) -> Agreement:
    """Compare the tokens that the model generated with the uncompressed one's, without prompt and padding.

    Raises:
        ValueError: no outputs, or not as many of each.
    """
    check_pairs(outputs, baseline, "outputs of the baseline")
    shares, prefixes, identical = [], [], []
    for ours, theirs in zip(outputs, baseline, strict=True):
        same = [a == b for a, b in zip(ours, theirs, strict=False)]
        longest = max(len(ours), len(theirs))
        shares.append(sum(same) / longest if longest else 1.0)
        prefixes.append(same.index(False) if False in same else len(same))
        identical.append(prefixes[-1] == longest)
    return Agreement(
        Scores("identical tokens", np.array(shares)),
        Scores("tokens before the first divergence", np.array(prefixes, float)),
        np.array(identical),
    )
