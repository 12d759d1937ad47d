"""The stages whose results the store keeps: token ids, checkpoint, artifact, predictions.

Each function's key names all that determines its result; whatever is not in the key must not matter.
"""

import json
import logging
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effcomp.compress.artifact import write_artifact
from effcomp.compress.prune.base import Prune
from effcomp.compress.quant.base import Quant
from effcomp.device import Device
from effcomp.finetune.base import Finetune, Job
from effcomp.measure.client import Worker
from effcomp.models.base import Model, load_checkpoint
from effcomp.part import source_key
from effcomp.runtimes.base import Runtime
from effcomp.store import Entry, Store
from effcomp.tasks.base import ClassificationTask, Splits, encode

log = logging.getLogger(__name__)

TOKENS_FILE = "tokens.safetensors"
LOGITS_FILE = "logits.safetensors"
TIMING_FILE = "timing.json"
EVALUATION_BATCH = 32


def tokens(store: Store, model: Model, task: ClassificationTask, splits: Splits) -> Entry:
    """The token ids of the test examples, in their order: a folder with TOKENS_FILE."""
    key = {
        "model": model.identity(),
        "data": splits.fingerprint(),
        "max_length": task.max_length,
        "code": source_key("effcomp.tasks.base", "effcomp.ragged"),
        "transformers": version("transformers"),
    }

    def build(folder: Path) -> None:
        encode(splits.test, model.tokenizer(), task.max_length).save(folder / TOKENS_FILE)

    return store.get("tokens", key, build)


def checkpoint(
    store: Store,
    model: Model,
    task: ClassificationTask,
    splits: Splits,
    finetune: Finetune,
    device: Device,
    seed: int,
) -> Entry:
    """The fine-tuned model: a folder as save_pretrained writes it, the training curve, and TIMING_FILE."""
    precision = finetune.precision_on(device)
    key = {
        "model": model.identity(),
        "data": splits.fingerprint(),
        "max_length": task.max_length,
        "finetune": finetune.key(),
        "precision": precision,
        "device": device.kind,
        "seed": seed,
        "code": source_key("effcomp.models.base", "effcomp.tasks.base"),
        "torch": version("torch"),
        "transformers": version("transformers"),
    }

    def build(folder: Path) -> None:
        log.info("fine-tuning %s on %s (%s, %s)", model.name, task.name, finetune.name, precision)
        job = Job(
            model.classifier(splits.label_names, seed),
            model.tokenizer(),
            splits.train,
            task.max_length,
            device,
            seed,
        )
        start = time.perf_counter()
        finetune.write(job, folder)
        (folder / TIMING_FILE).write_text(json.dumps({"seconds": round(time.perf_counter() - start, 3)}))

    entry = store.get("checkpoint", key, build)
    if not entry.created:
        log.info("fine-tuned before: %s", entry.path)
    return entry


def artifact(store: Store, trained: Entry, prune: Prune, quant: Quant) -> Entry:
    """The compressed model: an artifact folder (see effcomp.compress.artifact)."""
    key = {
        "checkpoint": trained.hash,
        "prune": prune.key(),
        "quant": quant.key(),
        "code": source_key("effcomp.compress.artifact"),
        "libraries": {name: version(name) for name in ("torch", "transformers", *quant.packages)},
    }

    def build(folder: Path) -> None:
        log.info("compressing: prune=%s, quant=%s", prune.name, quant.name)
        model, tokenizer = load_checkpoint(trained.path)
        write_artifact(model, tokenizer, prune, quant, folder)

    return store.get("artifact", key, build)


def predictions(
    store: Store, worker: Worker, built: Entry, inputs: Entry, runtime: Runtime, device: Device
) -> NDArray[np.float32]:
    """The logits (examples, labels) of every test example, from the measured process itself."""
    from safetensors.numpy import load_file

    key = {
        "artifact": built.hash,
        "tokens": inputs.hash,
        "runtime": runtime.key(),
        "device": device.kind,
        "threads": device.threads,
        "batch_size": EVALUATION_BATCH,
        "torch": version("torch"),
    }

    def build(folder: Path) -> None:
        worker.ask("logits", file=str(folder / LOGITS_FILE), batch_size=EVALUATION_BATCH)

    return load_file(store.get("predictions", key, build).path / LOGITS_FILE)["logits"]
