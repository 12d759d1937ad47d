"""From predictions of baseline and variant to their scores."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effcomp.core import device_lock
from effcomp.core.store import Store
from effcomp.evaluate.classification import compare, score
from effcomp.evaluate.generation import judge_texts
from effcomp.evaluate.language import compare_blocks, score_blocks
from effcomp.measure.generated_texts import Written
from effcomp.models.heads import Head
from effcomp.pipeline.compose import Parts
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
from effcomp.tasks.base import Splits
from effcomp.tasks.blocks import text_size
from effcomp.tasks.generation import GenerationTask

Answers = NDArray[Any] | Written
"""Logits of classes (examples, classes), losses of blocks (blocks, 2), or texts."""


@dataclass(frozen=True)
class Judged:
    """How good the variant's answers are, alone and against the baseline's."""

    quality: Quality | LanguageQuality | GenerationQuality | NotMeasured
    versus: VersusBaseline | LanguageVersus | GenerationVersus | NotMeasured
    texts: list[dict[str, str]] = field(default_factory=list)
    """What both wrote (effcomp.evaluate.generation), where the answers are texts."""
    writing: Writing | None = None


def judge(parts: Parts, store: Store, splits: Splits, head: Head, before: Answers, after: Answers) -> Judged:
    """The variant's scores, and how they differ from the baseline's."""
    margin, seed, test = parts.bench.noninferiority_margin, parts.seed, splits.test
    if isinstance(before, Written) and isinstance(after, Written):
        assert isinstance(parts.task, GenerationTask), "no other task is answered with texts"
        tokenizer = parts.model.tokenizer(store)
        assert tokenizer is not None, "what has weights has a tokenizer"
        with device_lock.shared(parts.device.resolved()):  # an encoder and a judge read the texts
            quality_of_texts, versus, texts = judge_texts(
                parts.task, test, tokenizer, before, after, store, margin, seed
            )
        return Judged(quality_of_texts, versus, texts, writing(before, after))
    assert isinstance(before, np.ndarray) and isinstance(after, np.ndarray), "both sides answer the same task"
    if head == "sequence_classification":
        quality = score(after, test, splits.label_names, seed)
        return Judged(quality, compare(before, after, test.labels, margin, seed))
    size = text_size(test) if head == "causal_lm" else None
    return Judged(score_blocks(after, size, seed), compare_blocks(before, after, margin, seed))


def writing(before: Written, after: Written) -> Writing:
    """The pace of both."""
    return Writing(
        batch_size=after.batch_size,
        prefill_tokens_per_s=after.prefill_tokens_per_s,
        decode_tokens_per_s=after.decode_tokens_per_s,
        baseline_prefill_tokens_per_s=before.prefill_tokens_per_s,
        baseline_decode_tokens_per_s=before.decode_tokens_per_s,
    )
