"""Semantic coherence as a score of written texts; docs/coherence.md describes it."""

from effcomp.metrics.coherence import coherence
from effcomp.metrics.registry import Outputs, score
from effcomp.metrics.scores import Scores


@score("coherence", library="sentencex", embeds=True)
def coherence_of(outputs: Outputs) -> Scores:
    return coherence(outputs.texts, outputs.readers.scale, outputs.readers.encoder)
