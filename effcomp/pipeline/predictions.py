"""Stage that stores the predictions of the measured processes for the test."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from numpy.typing import NDArray

from effcomp.core import machine
from effcomp.core.code_key import code_key
from effcomp.core.packages import versions
from effcomp.core.store import Entry
from effcomp.measure.client import Worker
from effcomp.measure.generated_texts import GeneratedTexts
from effcomp.models.heads import Head

if TYPE_CHECKING:
    from effcomp.pipeline.stage import Run
    from effcomp.tasks.generation import GenerationTask

log = logging.getLogger(__name__)

OUTPUTS_FILE = "outputs.safetensors"
WRITTEN_FILE = "written.safetensors"
EVALUATION_BATCH: dict[Head, int] = {"sequence_classification": 32, "masked_lm": 8, "causal_lm": 8}
"""Batch size of each head; small where every token has logits: those of 8 x 512 tokens take 800 MB in float32."""
WRITING_BATCH = 8

Predictions = NDArray[Any] | GeneratedTexts
"""Logits of classes (examples, classes) float32, losses of blocks (blocks, 2) float64, or texts."""


def predictions_of(run: "Run", worker: Worker, built: Entry, inputs: Entry) -> Predictions:
    """Return the measured process's own predictions for every test example.

    Args:
        worker: holds the artifact.
        built: the artifact.
        inputs: the token ids of the test.
    """
    task, again = run.components.task, run.components.remeasure
    key = {
        "artifact": built.hash,
        "tokens": inputs.hash,
        "runtime": run.components.runtime.key(),
        "device": run.device.kind,
        "threads": run.device.threads,
        "capability": worker.loaded["cpu_capability"],
        "processor": machine.cpu_info(),
        "device_name": machine.device_name(run.device),
        "libraries": versions("torch", "transformers", "numpy", *run.components.runtime.file_format.packages),
        "code": code_key(__name__, "effcomp.measure.worker"),
    }
    if task.problem == "generation":
        task = cast("GenerationTask", task)
        batch_size = min(WRITING_BATCH, run.components.runtime.most_texts or WRITING_BATCH)
        settings = {"batch_size": batch_size, "new_tokens": task.new_tokens, "stop": task.stop}

        def write(folder: Path) -> None:
            log.info("writing %d tokens after each prompt, %d prompts at once", task.new_tokens, batch_size)
            worker.finite("write", file=str(folder / WRITTEN_FILE), **settings)

        return GeneratedTexts.load(run.store.get("written", key | settings, write, again).path / WRITTEN_FILE)

    from safetensors.numpy import load_file

    batch_size = EVALUATION_BATCH[run.head]

    def predict(folder: Path) -> None:
        worker.finite("predict", file=str(folder / OUTPUTS_FILE), batch_size=batch_size)

    stored = run.store.get("outputs", key | {"batch_size": batch_size}, predict, again)
    found: NDArray[Any] = load_file(stored.path / OUTPUTS_FILE)["outputs"]
    return found
