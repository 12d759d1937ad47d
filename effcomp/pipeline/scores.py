"""From the answers of baseline and variant to their scores."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from effcomp.core import device_lock
from effcomp.evaluate.classification import compare, score
from effcomp.evaluate.generation import Asked, judge_texts
from effcomp.evaluate.language import compare_blocks, score_blocks
from effcomp.measure.generated_texts import GeneratedTexts
from effcomp.record import (
    GenerationQuality,
    GenerationVersus,
    LanguageQuality,
    LanguageVersus,
    NotMeasured,
    Quality,
    VersusBaseline,
    Writing,
)
from effcomp.tasks.encoding import text_size
from effcomp.tasks.generation import GenerationTask

if TYPE_CHECKING:
    from effcomp.pipeline.predictions import Predictions
    from effcomp.pipeline.stage import Run


@dataclass(frozen=True)
class Judged:
    """Scores of the variant's answers, alone and against the baseline's."""

    quality: Quality | LanguageQuality | GenerationQuality | NotMeasured
    versus: VersusBaseline | LanguageVersus | GenerationVersus | NotMeasured
    texts: list[dict[str, str]] = field(default_factory=list)
    """Texts of both (effcomp.evaluate.generation), where the answers are texts."""
    writing: Writing | None = None


UNTRAINED = NotMeasured(reason="model.weights=random: the model has learned nothing")
NOTHING_TO_JUDGE = Judged(UNTRAINED, UNTRAINED)


def judge(run: "Run", before: "Predictions", after: "Predictions") -> Judged:
    """Score the variant's answers, and compare them with the baseline's."""
    parts, test, seed = run.components, run.splits.test, run.components.seed
    margin = parts.bench.noninferiority_margin
    if isinstance(before, GeneratedTexts) and isinstance(after, GeneratedTexts):
        assert isinstance(parts.task, GenerationTask), "no other task is answered with texts"
        tokenizer = parts.model.tokenizer(run.store)
        assert tokenizer is not None and run.tokenizer is not None, "what has weights has a tokenizer"
        after = after.renumbered(run.tokenizer, tokenizer) if parts.prune.remaps_tokens else after
        asked = Asked(parts.task, test, tokenizer, run.store)
        with device_lock.shared(run.device):  # an encoder and a judge read the texts
            quality_of_texts, versus, texts = judge_texts(asked, before, after, margin, seed)
        return Judged(quality_of_texts, versus, texts, writing(before, after))
    assert isinstance(before, np.ndarray) and isinstance(after, np.ndarray), "both sides answer the same task"
    if run.head == "sequence_classification":
        quality = score(after, test, run.splits.label_names, seed)
        return Judged(quality, compare(before, after, test.labels, margin, seed))
    size = text_size(test) if run.head == "causal_lm" else None
    return Judged(score_blocks(after, size, seed), compare_blocks(before, after, margin, seed))


def writing(before: GeneratedTexts, after: GeneratedTexts) -> Writing:
    """Return the pace of both in writing."""
    return Writing(
        batch_size=after.batch_size,
        prefill_tokens_per_s=after.prefill_tokens_per_s,
        decode_tokens_per_s=after.decode_tokens_per_s,
        baseline_prefill_tokens_per_s=before.prefill_tokens_per_s,
        baseline_decode_tokens_per_s=before.decode_tokens_per_s,
    )
