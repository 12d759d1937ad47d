"""Semantic coherence score for `evaluate.load("effcomp/metrics/module/coherence")`; effcomp must be installed."""

from collections.abc import Sequence

import datasets
import evaluate

from effcomp.metrics.coherence import calibrate, coherence
from effcomp.metrics.encoder import MINILM, SentenceEncoder, minilm_folder

DESCRIPTION = """\
Do neighbouring sentences belong together as they do in true texts? 0 for sentences in random order, 1 for the mean of
the true texts in `corpus`. docs/coherence.md of effcomp defines it and says what it cannot see.
"""
INPUTS = """
Args:
    predictions: the texts to score, at least 2.
    corpus: true texts of the same kind, language and about the same length, better 100 or more: they are what scores 1.
    language: ISO 639 code, for the splitting into sentences; default en.
    seed: of the bootstrap; default 0.
Returns:
    coherence: the mean score; low, high: its 95 % interval over texts; scores: of each text;
    name: with encoder and scale.
"""


class Coherence(evaluate.Metric):
    """Metric `coherence` for evaluate.load (effcomp.metrics.coherence)."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="",
            inputs_description=INPUTS,
            features=datasets.Features({"predictions": datasets.Value("string")}),
        )

    def _compute(
        self, predictions: Sequence[str], corpus: Sequence[str], language: str = "en", seed: int = 0
    ) -> dict[str, float | str | list[float]]:
        encoder = SentenceEncoder(minilm_folder(), MINILM)
        scores = coherence(predictions, calibrate(corpus, encoder, seed, language), encoder, language)
        interval = scores.interval(seed)
        return {
            "coherence": interval.value,
            "low": interval.low,
            "high": interval.high,
            "scores": scores.per_example.tolist(),
            "name": scores.name,
        }
