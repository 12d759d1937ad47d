"""Scores from logits."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss

from effcomp.evaluate.classification import compare, score
from effcomp.tasks.base import Examples

generator = np.random.default_rng(3)
LABELS = tuple(int(label) for label in generator.integers(0, 3, 120))
NAMES = ("red", "green", "blue")
EXAMPLES = Examples(("",) * 120, LABELS, groups=("en",) * 80 + ("es",) * 40)


def logits(strength: float) -> np.ndarray:
    return (generator.normal(0, 1, (120, 3)) + strength * np.eye(3)[list(LABELS)]).astype(np.float32)


def test_the_scores_agree_with_scikit_learn() -> None:
    scores = logits(1.5)
    quality = score(scores, EXAMPLES, NAMES, seed=0)
    predicted = scores.argmax(axis=1)
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert quality.accuracy.value == accuracy_score(LABELS, predicted)
    assert quality.macro_f1.value == pytest.approx(f1_score(LABELS, predicted, average="macro"))
    assert quality.loss.value == pytest.approx(log_loss(LABELS, probabilities), rel=1e-5)
    assert quality.confusion_matrix == confusion_matrix(LABELS, predicted).tolist()
    parts = [slice(0, 80), slice(80, 120)]
    assert [quality.per_group[language].accuracy.value for language in ("en", "es")] == pytest.approx(
        [accuracy_score(LABELS[part], predicted[part]) for part in parts]
    )
    f1 = f1_score(LABELS, predicted, average=None)
    assert [quality.per_class[name].f1 for name in NAMES] == pytest.approx(list(f1))


def test_a_model_that_is_always_right_and_sure_is_calibrated() -> None:
    quality = score(100 * np.eye(3, dtype=np.float32)[list(LABELS)], EXAMPLES, NAMES, seed=0)
    assert quality.accuracy.low < quality.accuracy.value == 1, "120 examples do not prove that it is never wrong"
    assert quality.calibration_error == pytest.approx(0, abs=1e-6)


def test_a_comparison_counts_which_way_predictions_flipped() -> None:
    before = np.eye(3, dtype=np.float32)[list(LABELS)]
    after = before.copy()
    after[:24] = np.roll(after[:24], 1, axis=1)
    versus = compare(before, after, LABELS, margin=0.005, seed=0)
    assert (versus.flipped_to_wrong, versus.flipped_to_right, versus.flipped_share) == (24, 0, 0.2)
    assert versus.accuracy_difference.value == pytest.approx(-0.2)
    assert versus.verdict == "worse"
    assert versus.mcnemar_p == pytest.approx(2 * 0.5**24)


def test_a_model_against_itself_is_not_worse() -> None:
    scores = logits(1)
    versus = compare(scores, scores, LABELS, margin=0.05, seed=0)
    assert (versus.accuracy_difference.value, versus.mcnemar_p, versus.verdict) == (0, 1, "not worse")
    assert versus.accuracy_difference.low < 0 < versus.accuracy_difference.high, "120 examples do not prove equality"
    assert compare(scores, scores, LABELS, margin=0.005, seed=0).verdict == "undecided"
