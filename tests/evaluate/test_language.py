"""Scores of a language model from the losses of its blocks."""

import numpy as np

from effcomp.evaluate.language import score_blocks
from effcomp.tasks.encoding import TextSize


def test_texts_without_spaces_have_no_perplexity_of_a_word() -> None:
    losses = np.array([[3000.0, 1000.0], [3100.0, 1000.0]])
    found = score_blocks(losses, TextSize(words=4, utf8_bytes=6000), seed=0)
    assert found.word_perplexity is None
    assert found.bits_per_byte is not None and found.bits_per_byte.value > 0
    words = score_blocks(losses, TextSize(words=1500, utf8_bytes=6000), seed=0).word_perplexity
    assert words is not None and words.value > found.perplexity.value
