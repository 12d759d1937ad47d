"""The semantic coherence score, with the real encoder on texts whose order can be told."""

from itertools import permutations

import numpy as np
import pytest

from effcomp.core.interval import Interval
from effcomp.metrics.coherence import calibrate, coherence, contrast, contrasts, distinct, sentences
from effcomp.metrics.encoder import MINILM, SentenceEncoder, minilm_folder

TOPICS = [
    [
        "The bank raised its interest rates.",
        "Higher rates make loans from banks dearer.",
        "Loans are what the bank earns on.",
    ],
    ["The striker scored two goals.", "His goals won the football match.", "The match was the team's last at home."],
    ["Rain fell on the hills all night.", "The rain made the river rise.", "The river flooded the village."],
    ["She recorded her first album in May.", "The album has nine songs.", "Two songs became hits on the radio."],
    [
        "The phone has a better camera.",
        "Its camera takes pictures in the dark.",
        "The pictures are stored on the phone.",
    ],
]
"""Three sentences on each of five things."""
TEXTS = [" ".join(TOPICS[i] + TOPICS[j]) for i in range(5) for j in range(5) if i != j]
"""Twenty texts that go from one thing to another."""
SCALE = Interval(value=0.1, low=0.08, high=0.12)


@pytest.fixture(scope="module")
def minilm() -> SentenceEncoder:
    return SentenceEncoder(minilm_folder(), MINILM)


def test_embeddings_are_those_that_the_models_authors_publish(minilm: SentenceEncoder) -> None:
    # The model card of all-MiniLM-L6-v2: mean pooling over the mask, then unit length; here without padding.
    import torch

    texts = ["This is an example sentence", "Each sentence is converted"]
    inputs = minilm.tokenizer(texts[0], return_tensors="pt")
    with torch.inference_mode():
        expected = minilm.model(**inputs).last_hidden_state[0].mean(dim=0)
    embeddings = minilm(texts)
    assert embeddings[0] == pytest.approx((expected / expected.norm()).numpy(), abs=1e-5)
    assert np.linalg.norm(embeddings, axis=1) == pytest.approx(1)


def test_over_all_orders_of_the_sentences_the_contrast_is_exactly_0(minilm: SentenceEncoder) -> None:
    embeddings = minilm(TOPICS[0] + TOPICS[1][:2])
    orders = [contrast(embeddings[list(order)]) for order in permutations(range(5))]
    assert np.mean(orders) == pytest.approx(0, abs=1e-12)
    assert orders[0] > 0


def test_the_texts_of_the_scale_score_1_and_spoilt_ones_less_in_the_right_order(minilm: SentenceEncoder) -> None:
    generator = np.random.default_rng(0)
    scale = calibrate(TEXTS, minilm, seed=0)
    split = [sentences(text, "en") for text in TEXTS]
    shuffled = [[" ".join(generator.permutation(text)) for text in split] for _ in range(5)]
    moved = [" ".join([text[-1], *text[:-1]]) for text in split]
    true, last_first = coherence(TEXTS, scale, minilm), coherence(moved, scale, minilm)
    in_random_order = [coherence(texts, scale, minilm) for texts in shuffled]
    assert true.value == pytest.approx(1)
    assert last_first.minus(true, seed=0).high < 0
    assert in_random_order[0].minus(last_first, seed=0).high < 0
    assert np.mean([scores.value for scores in in_random_order]) == pytest.approx(0, abs=0.1)


def test_a_repeated_sentence_is_worth_no_more_than_random_order(minilm: SentenceEncoder) -> None:
    repeated = " ".join([TOPICS[0][0]] * 8)
    stuck = TEXTS[0] + " " + repeated
    scores = coherence([repeated, stuck, TEXTS[0]], SCALE, minilm).per_example
    assert scores[0] == 0
    assert 0 < scores[1] < scores[2] / 2


@pytest.mark.parametrize(
    "text", ["", "   ", "...", "One sentence alone.", "Two sentences. They are always neighbours."]
)
def test_a_text_without_three_sentences_scores_0(text: str, minilm: SentenceEncoder) -> None:
    assert coherence([text], SCALE, minilm).per_example.tolist() == [0]


def test_sentences_end_where_they_end_and_not_at_an_abbreviation() -> None:
    text = 'Mr. Smith paid $3.5m for it. "It was good," he said. And then?'
    assert sentences(text, "en") == ["Mr. Smith paid $3.5m for it.", '"It was good," he said.', "And then?"]


def test_copies_are_found_whatever_their_case_and_punctuation() -> None:
    assert distinct(["Yes, we can.", "No.", "YES we can!"]) == ["Yes, we can.", "No."]


def test_texts_whose_order_cannot_be_told_give_no_scale(minilm: SentenceEncoder) -> None:
    with pytest.raises(ValueError, match="cannot be told from a random one"):
        calibrate([" ".join(topic[0] for topic in TOPICS), " ".join(topic[1] for topic in TOPICS[::-1]), ""], minilm, 0)
    with pytest.raises(ValueError, match="1 true texts give no scale"):
        calibrate(TEXTS[:1], minilm, seed=0)


def test_no_text_at_all_is_refused(minilm: SentenceEncoder) -> None:
    with pytest.raises(ValueError, match="no output"):
        coherence([], SCALE, minilm)


def test_a_text_scores_the_same_alone_and_among_others(minilm: SentenceEncoder) -> None:
    together = contrasts(TEXTS[:4], minilm, "en")
    alone = [contrasts([text], minilm, "en")[0] for text in TEXTS[:4]]
    assert together == pytest.approx(alone, abs=1e-6)
