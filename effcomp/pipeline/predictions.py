"""What both sides of a pair answer to the test."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effcomp.core import machine
from effcomp.core.code_key import source_key
from effcomp.core.device import Device
from effcomp.core.store import Entry, Store
from effcomp.evaluate.judge import Answers
from effcomp.measure.client import Worker
from effcomp.measure.generated_texts import Written
from effcomp.models.heads import Head
from effcomp.pipeline.compose import Parts
from effcomp.runtimes.base import Runtime
from effcomp.tasks.generation import GenerationTask

log = logging.getLogger(__name__)

OUTPUTS_FILE = "outputs.safetensors"
WRITTEN_FILE = "written.safetensors"
EVALUATION_BATCH: dict[Head, int] = {"sequence_classification": 32, "masked_lm": 8, "causal_lm": 8}
"""Smaller where the logits of every token are made: a batch of 8 x 512 in float32 holds 800 MB of them."""
WRITING_BATCH = 8
EXECUTES = ("effcomp.core.batches", "effcomp.runtimes", "effcomp.artifact", "effcomp.quant", "effcomp.prune")


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


def outputs(
    store: Store, worker: Worker, built: Entry, inputs: Entry, head: Head, runtime: Runtime, device: Device
) -> NDArray[Any]:
    """What the measured process itself says to every test example: logits (examples, classes) float32, or losses
    (blocks, 2) float64."""
    from safetensors.numpy import load_file

    key = {
        **evaluation_key(worker, built, inputs, runtime, device),
        "batch_size": EVALUATION_BATCH[head],
        "code": source_key(*EXECUTES),
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
        "code": source_key(
            *EXECUTES,
            "effcomp.measure.text_generation",
        ),
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
