"""Intervals and differences of metrics."""

import subprocess
import sys

import numpy as np
import pytest

from effcomp.core.interval import Interval
from effcomp.metrics.overlap import bleu
from effcomp.metrics.scores import Scores
from tests.conftest import ROOT

REFERENCES = [
    [f"the {animal} sat on the {place} all day"] for animal in ("cat", "dog", "cow") for place in ("mat", "sea")
]
RIGHT = [of_one[0] for of_one in REFERENCES]
WORSE = [text.replace("all day", "again") for text in RIGHT]


def test_the_difference_of_a_model_to_itself_is_0_with_no_width() -> None:
    for scores in (Scores("m", np.array([0.1, 0.5, 0.7])), bleu(WORSE, REFERENCES)):
        assert scores.minus(scores, seed=0) == Interval(value=0, low=0, high=0)


def test_a_loss_on_every_example_is_told_although_the_scores_vary_more_than_the_loss() -> None:
    baseline = np.random.default_rng(0).random(50)
    loss = Scores("m", baseline - 0.02).minus(Scores("m", baseline), seed=0)
    assert loss.value == pytest.approx(-0.02)
    assert loss.high < 0


def test_the_difference_of_a_corpus_metric_is_that_of_its_two_scores() -> None:
    right, worse = bleu(RIGHT, REFERENCES), bleu(WORSE, REFERENCES)
    difference = worse.minus(right, seed=0)
    assert difference.value == pytest.approx(worse.value - 100)
    assert difference.high < 0


def test_other_metrics_and_other_examples_are_not_compared() -> None:
    with pytest.raises(ValueError, match="one cannot be compared with another"):
        Scores("one", np.zeros(3)).minus(Scores("another", np.zeros(3)), seed=0)
    with pytest.raises(ValueError, match="3 examples cannot be paired with 2"):
        bleu(RIGHT[:3], REFERENCES[:3]).minus(bleu(RIGHT[:2], REFERENCES[:2]), seed=0)


def test_a_single_example_has_a_value_and_no_interval() -> None:
    for scores in (Scores("m", np.array([0.5])), bleu(RIGHT[:1], REFERENCES[:1])):
        assert scores.value > 0
        with pytest.raises(ValueError, match="two or more"):
            scores.interval(seed=0)


def test_importing_the_metrics_loads_no_heavy_library() -> None:
    names = ["agreement", "bertscore", "coherence", "diversity", "encoder", "overlap", "perplexity", "scores"]
    heavy = {"torch", "transformers", "bert_score", "sacrebleu", "rouge_score", "nltk", "sentencex", "scipy"}
    code = f"import sys, {', '.join('effcomp.metrics.' + n for n in names)}; print(*({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
