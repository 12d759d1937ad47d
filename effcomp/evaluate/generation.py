"""Scores of a model's generated texts, alone and against its baseline's."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from effcomp.core import statistics
from effcomp.core.store import Store
from effcomp.measure.generated_texts import GeneratedTexts
from effcomp.metrics.agreement import agreement
from effcomp.metrics.choice import scored
from effcomp.metrics.registry import METRICS, Outputs
from effcomp.metrics.scores import AnyScores, Matches, difference
from effcomp.record import GenerationQuality, GenerationVersus, NotMeasured, TextScore
from effcomp.tasks.base import Examples
from effcomp.tasks.generation import GenerationTask

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Asked:
    """Prompts that both models answered, with the task and its references."""

    task: GenerationTask
    test: Examples
    tokenizer: "PreTrainedTokenizerBase"
    """Tokenizer of the baseline; the variant's tokens have its ids."""
    store: Store
    """Store that may keep the weights of the judging model."""


def judge_texts(
    asked: Asked, baseline: GeneratedTexts, variant: GeneratedTexts, margin: float, seed: int
) -> tuple[GenerationQuality, GenerationVersus | NotMeasured, list[dict[str, str]]]:
    """Return the variant's scores, their differences to the baseline's after the same prompts, and the texts. Without a
    headline there is no comparison.

    Args:
        margin: non-inferiority margin of the headline score.
    """
    task, test = asked.task, asked.test
    readers, names = task.metrics.readers(list(test.references), asked.store), task.metrics.scores
    references = readers.references
    before, after = (
        Outputs(list(test.texts), one.texts(asked.tokenizer, task.stop), references, one.losses_and_counts, readers)
        for one in (baseline, variant)
    )
    (old, old_missing), (new, missing) = scored(before, names), scored(after, names)
    quality = GenerationQuality(
        examples=len(test),
        headline=task.headline,
        scores={name: text_score(scores, seed) for name, scores in new.items()},
        without_score=dict(missing),
        empty=sum(not text.strip() for text in after.texts),
        ended_share=float(np.mean(variant.ended)),
        mean_tokens=float(np.mean([len(tokens) for tokens in variant.tokens])),
    )
    columns = {
        "prompt": before.prompts,
        "reference": before.references,
        "baseline": before.texts,
        "variant": after.texts,
    }
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if reason := missing.get(task.headline) or old_missing.get(task.headline):
        return quality, NotMeasured(reason=f"task.headline={task.headline} has no value: {reason}"), rows
    headline, old_headline = new[task.headline], old[task.headline]
    alike = agreement(variant.tokens, baseline.tokens)
    likeness, _ = scored(after.likeness_to(before.texts), [name for name in names if METRICS[name].compares])
    versus = GenerationVersus(
        identical_tokens=alike.identical_tokens.interval(seed),
        first_divergence_tokens=alike.first_divergence.interval(seed),
        identical_share=statistics.accuracy_interval(alike.identical, seed),
        likeness={name: text_score(scores, seed) for name, scores in likeness.items()},
        differences={name: difference(scores, old[name], seed) for name, scores in new.items() if name in old},
        mcnemar_p=mcnemar_p(old_headline, headline),
        margin=margin,
        verdict=statistics.verdict(difference(headline, old_headline, seed), margin),
    )
    return quality, versus, rows


def text_score(scores: AnyScores, seed: int) -> TextScore:
    return TextScore(metric=scores.name, **scores.interval(seed).model_dump())


def mcnemar_p(baseline: AnyScores, variant: AnyScores) -> float | None:
    if isinstance(baseline, Matches) and isinstance(variant, Matches):
        return statistics.mcnemar_p(baseline.right, variant.right)
    return None
