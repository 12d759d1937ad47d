"""What both sides of a pair answer to the test, and how good it is."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effcomp.compose import Parts
from effcomp.device import Device
from effcomp.heads import Head
from effcomp.measure import machine, turns
from effcomp.measure.client import Worker
from effcomp.part import source_key
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
from effcomp.runtimes.base import Runtime
from effcomp.store import Entry, Store
from effcomp.tasks.base import Splits
from effcomp.tasks.blocks import text_size
from effcomp.tasks.classification import compare, score
from effcomp.tasks.generation import GenerationTask
from effcomp.tasks.language import compare_blocks, score_blocks
from effcomp.tasks.texts import judge_texts
from effcomp.written import Written

log = logging.getLogger(__name__)

OUTPUTS_FILE = "outputs.safetensors"
WRITTEN_FILE = "written.safetensors"
EVALUATION_BATCH: dict[Head, int] = {"sequence_classification": 32, "masked_lm": 8, "causal_lm": 8}
"""Smaller where the logits of every token are made: a batch of 8 x 512 in float32 holds 800 MB of them."""
WRITING_BATCH = 8
Answers = NDArray[Any] | Written
"""Logits of classes (examples, classes), losses of blocks (blocks, 2), or texts."""


@dataclass(frozen=True)
class Judged:
    """How good the variant's answers are, alone and against the baseline's."""

    quality: Quality | LanguageQuality | GenerationQuality | NotMeasured
    versus: VersusBaseline | LanguageVersus | GenerationVersus | NotMeasured
    texts: list[dict[str, str]] = field(default_factory=list)
    """What both wrote (effcomp.tasks.texts), where the answers are texts."""
    writing: Writing | None = None


def answers(
    parts: Parts,
    store: Store,
    worker: Worker,
    built: Entry,
    inputs: Entry,
    head: Head,
    runtime: Runtime,
    device: Device,
) -> Answers:
    """What the measured process itself says to every test example."""
    if isinstance(parts.task, GenerationTask):
        return written(parts, parts.task, store, worker, built, inputs, runtime, device)
    return outputs(store, worker, built, inputs, head, runtime, device)


def judge(parts: Parts, store: Store, splits: Splits, head: Head, before: Answers, after: Answers) -> Judged:
    """The variant's scores, and how they differ from the baseline's."""
    margin, seed, test = parts.bench.noninferiority_margin, parts.seed, splits.test
    if isinstance(before, Written) and isinstance(after, Written):
        assert isinstance(parts.task, GenerationTask), "no other task is answered with texts"
        tokenizer = parts.model.tokenizer(store)
        assert tokenizer is not None, "what has weights has a tokenizer"
        with turns.shared(parts.device.resolved()):  # an encoder and a judge read the texts
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


def outputs(
    store: Store, worker: Worker, built: Entry, inputs: Entry, head: Head, runtime: Runtime, device: Device
) -> NDArray[Any]:
    """What the measured process itself says to every test example: logits (examples, classes) float32, or losses
    (blocks, 2) float64."""
    from safetensors.numpy import load_file

    key = {
        **evaluation_key(worker, built, inputs, runtime, device),
        "batch_size": EVALUATION_BATCH[head],
        "code": source_key("effcomp.ragged", "effcomp.runtimes", "effcomp.compress"),
    }

    def build(folder: Path) -> None:
        worker.ask("evaluate", file=str(folder / OUTPUTS_FILE), batch_size=EVALUATION_BATCH[head])

    found: NDArray[np.float32] = load_file(store.get("outputs", key, build).path / OUTPUTS_FILE)["outputs"]
    return found


def written(
    parts: Parts,
    task: GenerationTask,
    store: Store,
    worker: Worker,
    built: Entry,
    inputs: Entry,
    runtime: Runtime,
    device: Device,
) -> Written:
    """What the measured process itself writes behind every test prompt."""
    settings = {"batch_size": WRITING_BATCH, "new_tokens": task.new_tokens, "stop": task.stop}
    key = {
        **evaluation_key(worker, built, inputs, runtime, device),
        **settings,
        "code": source_key("effcomp.ragged", "effcomp.runtimes", "effcomp.compress", "effcomp.measure.writing"),
    }

    def build(folder: Path) -> None:
        log.info("writing %d tokens behind each prompt", task.new_tokens)
        worker.ask("write", file=str(folder / WRITTEN_FILE), **settings)

    return Written.load(store.get("written", key, build, again=parts.remeasure).path / WRITTEN_FILE)


def evaluation_key(worker: Worker, built: Entry, inputs: Entry, runtime: Runtime, device: Device) -> dict[str, Any]:
    """What determines an artifact's answers, beside what is asked and by which code."""
    return {
        "artifact": built.hash,
        "tokens": inputs.hash,
        "runtime": runtime.key(),
        "device": device.kind,
        "threads": device.threads,
        "capability": worker.loaded["cpu_capability"],
        "processor": machine.cpu_info(),
        "device_name": machine.device_name(device),
        "libraries": machine.library_versions(),
    }
