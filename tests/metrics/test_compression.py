"""The compression ratio sees repetition of any length."""

import random
import string

import pytest

from effcomp.metrics.compression import compression_ratio
from effcomp.metrics.diversity import distinct_n

PASSAGE = "".join(random.Random(0).choices(string.ascii_letters, k=3000))


def test_letters_at_random_do_not_compress_and_a_passage_written_twice_takes_half() -> None:
    once, twice = compression_ratio([PASSAGE, PASSAGE * 2]).per_example
    assert once == pytest.approx(8 / 5.7, rel=0.05)  # log2(52) is 5.7 bits a letter
    assert twice == pytest.approx(2 * once, rel=0.1)


def test_it_sees_a_long_repetition_that_distinct_n_hardly_sees() -> None:
    words = random.Random(0).choices([f"word{number}" for number in range(5000)], k=60)
    fresh, loop = " ".join(words), " ".join(words[:30] * 2)
    assert distinct_n([loop], 2).value > 0.5
    before, after = compression_ratio([fresh, loop]).per_example
    assert after > 1.4 * before


def test_an_empty_text_scores_0_and_no_text_is_refused() -> None:
    assert compression_ratio([""]).value == 0
    with pytest.raises(ValueError, match="no output"):
        compression_ratio([])
