"""distinct-n against counts by hand."""

import pytest

from effcomp.metrics.diversity import corpus_distinct_n, distinct_n


def test_a_repeated_word_is_counted_once() -> None:
    # Words: I, don't, know; of 6. Pairs: (I don't), (don't know), (know I); of 5.
    assert distinct_n(["I don't know I don't know"], 1).per_example[0] == pytest.approx(3 / 6)
    assert distinct_n(["I don't know I don't know"], 2).per_example[0] == pytest.approx(3 / 5)


def test_over_a_corpus_the_same_answer_to_all_is_seen_as_such() -> None:
    answers = ["I don't know"] * 4
    assert distinct_n(answers, 2).per_example.tolist() == [1, 1, 1, 1]
    assert corpus_distinct_n(answers, 2) == pytest.approx(2 / 8)


def test_pairs_do_not_cross_from_a_text_to_the_next() -> None:
    assert corpus_distinct_n(["a b", "c d"], 2) == 1
    assert corpus_distinct_n(["a", "b"], 2) == 0


def test_texts_too_short_for_an_n_gram_score_0() -> None:
    assert distinct_n(["", "word"], 2).per_example.tolist() == [0, 0]
    assert corpus_distinct_n([], 1) == 0


def test_no_text_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="no output"):
        distinct_n([], 1)
