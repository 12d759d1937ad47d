"""The stages whose results the store keeps: token ids, checkpoint, pruned checkpoint, artifact.

Each function's key names all that determines its result; whatever is not in the key must not matter.
"""

import json
import logging
import shutil
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from effcomp.artifact.file_format import Format
from effcomp.artifact.folder import write_artifact
from effcomp.core import device_lock, machine, memory
from effcomp.core.batches import Batch, Ragged
from effcomp.core.code_key import source_key
from effcomp.core.device import Device
from effcomp.core.store import Entry, Store, scratch_folder
from effcomp.finetune.base import Finetune, Job
from effcomp.measure.client import Worker
from effcomp.models.base import Model, load_checkpoint
from effcomp.models.heads import Head
from effcomp.prune.base import Prune, Pruner
from effcomp.quant.base import Quant
from effcomp.tasks.base import Examples, Splits, Task, encode, subset
from effcomp.tasks.blocks import encode_blocks
from effcomp.tasks.generation import encode_prompts
from effcomp.tasks.synthetic import synthetic_tokens

log = logging.getLogger(__name__)

MODELS = ("effcomp.models.bitnet", "effcomp.models.blocks", "effcomp.models.linear", "effcomp.models.reconcile")
"""Our own layers and architectures, and the rules by which a checkpoint is loaded."""
TOKENS_FILE = "tokens.safetensors"
TIMING_FILE = "timing.json"
RATES_FILE = "rates.json"
FEW = 3
MASK_SEED = 0
"""Of the tokens that an encoder has to fill: the same in every run, whatever its seed."""


def tokens(store: Store, model: Model, task: Task, splits: Splits, head: Head) -> Entry:
    """The token ids of the test examples, in their order: a folder with TOKENS_FILE."""
    key = {
        "model": model.identity(store),
        "data": splits.fingerprint(),
        "max_length": task.max_length,
        "head": head,
        "objective": task.objective,
        "code": source_key(
            "effcomp.tasks.base",
            "effcomp.tasks.blocks",
            "effcomp.tasks.generation",
            "effcomp.tasks.synthetic",
            "effcomp.core.batches",
        ),
        "transformers": version("transformers"),
    }

    def build(folder: Path) -> None:
        inputs(store, model, task, splits, head).save(folder / TOKENS_FILE)

    return store.get("tokens", key, build)


def inputs(store: Store, model: Model, task: Task, splits: Splits, head: Head) -> Ragged:
    """The test examples as the model reads them; of a task whose texts are to be written, the prompts."""
    tokenizer = model.tokenizer(store)
    if task.objective == "generation" and tokenizer is not None:
        return encode_prompts(splits.test, tokenizer, task.max_length)
    return token_ids(store, model, task, splits.test, head)


def token_ids(store: Store, model: Model, task: Task, examples: Examples, head: Head) -> Ragged:
    """Examples as the model reads them: classification has a sequence for each, language modelling blocks of them all.
    Random ids where the model has no tokenizer."""
    tokenizer = model.tokenizer(store)
    if tokenizer is None:
        return synthetic_tokens(examples, model.config(store).vocab_size, task.max_length, MASK_SEED)
    if head == "sequence_classification":
        return encode(examples, tokenizer, task.max_length)
    return encode_blocks(examples, tokenizer, task.max_length, head, MASK_SEED)


def checkpoint(
    store: Store,
    model: Model,
    task: Task,
    splits: Splits,
    head: Head,
    finetune: Finetune,
    device: Device,
    seed: int,
) -> Entry:
    """The fine-tuned model: a folder as save_pretrained writes it, the training curve, and TIMING_FILE."""
    precision = finetune.precision_on(device)
    key: dict[str, Any] = {
        "model": model.identity(store),
        "data": splits.fingerprint(),
        "max_length": task.max_length,
        "head": head,
        "finetune": finetune.key(),
        "precision": precision,
        "device": device.kind,
        "seed": seed,
        "code": source_key(
            "effcomp.models.base",
            *MODELS,
            "effcomp.tasks.base",
            "effcomp.tasks.blocks",
            "effcomp.finetune.base",
            "effcomp.finetune.distributed",
            "effcomp.finetune.rank",
            "effcomp.finetune.sampler",
            "effcomp.finetune.trainer",
        ),
        "torch": version("torch"),
        "transformers": version("transformers"),
    }

    scratch = scratch_folder(store, "checkpoint", key)

    def build(folder: Path) -> None:
        if finetune.trains:
            log.info("fine-tuning %s on %s (%s, %s)", model.name, task.name, finetune.name, precision)
        job = Job(
            model.build(head, splits.label_names, seed, store, as_it_is=not finetune.trains),
            head,
            model.tokenizer(store),
            splits.train,
            task.max_length,
            device,
            seed,
            scratch,
        )
        with device_lock.shared(device):
            memory.reset_gpu_peak(device)
            start = time.perf_counter()
            finetune.write(job, folder)
            seconds = time.perf_counter() - start
        shutil.rmtree(scratch, ignore_errors=True)
        peak_gpu_bytes = memory.gpu_peak_bytes(device) if finetune.trains else None
        timing = {"seconds": round(seconds, 3), "peak_gpu_bytes": peak_gpu_bytes}
        (folder / TIMING_FILE).write_text(json.dumps(timing))

    entry = store.get("checkpoint", key, build)
    if finetune.trains and not entry.created:
        log.info("fine-tuned before: %s", entry.path)
    return entry


def pruned(
    store: Store, trained: Entry, head: Head, prune: Prune, splits: Splits, max_length: int, device: Device, seed: int
) -> Entry:
    """The checkpoint without the weights that pruning takes, recovered: a folder of the same kind, with the curve of
    the recovery and its seconds in TIMING_FILE. Without pruning the checkpoint itself."""
    if not isinstance(prune, Pruner):
        return trained
    precision = prune.recovery.precision_on(device)
    key: dict[str, Any] = {
        "checkpoint": trained.hash,
        "prune": prune.key(),
        "precision": precision,
        "device": device.kind,
        "seed": seed,
        "code": source_key(
            "effcomp.prune.importance",
            "effcomp.models.base",
            *MODELS,
            "effcomp.tasks.base",
            "effcomp.tasks.blocks",
            "effcomp.finetune.base",
            "effcomp.finetune.distributed",
            "effcomp.finetune.full",
            "effcomp.finetune.rank",
            "effcomp.finetune.sampler",
            "effcomp.finetune.trainer",
        ),
        "torch": version("torch"),
        "transformers": version("transformers"),
    }
    scratch = scratch_folder(store, "pruned", key)

    def build(folder: Path) -> None:
        log.info("pruning: %s, then recovery: %s", prune.name, prune.recovery.name)
        model, tokenizer = load_checkpoint(trained.path, head)
        job = Job(model, head, tokenizer, splits.train, max_length, device, seed, scratch)
        with device_lock.shared(device):
            seconds = prune.write(job, trained.path, folder)
        shutil.rmtree(scratch, ignore_errors=True)
        (folder / TIMING_FILE).write_text(json.dumps({"seconds": round(seconds, 3)}))

    entry = store.get("pruned", key, build)
    if not entry.created:
        log.info("pruned before: %s", entry.path)
    return entry


def calibration(
    store: Store, model: Model, task: Task, splits: Splits, head: Head, quant: Quant, seed: int
) -> list[Batch]:
    """The training examples that a number format is fitted to, each a batch of one; of documents as many blocks."""
    if (count := quant.calibration_samples) == 0:
        return []
    examples = subset(splits.train, count, seed) if head == "sequence_classification" else splits.train
    made = token_ids(store, model, task, examples, head)
    return [made.batch([index]) for index in range(count)]


def few(store: Store, model: Model, task: Task, splits: Splits, head: Head) -> list[Batch]:
    """Return three training examples in one padded batch and the first of them alone, without labels: an artifact's
    logits are compared on them with its checkpoint's."""
    examples = splits.train.take(list(range(min(FEW, len(splits.train)))))
    made = token_ids(store, model, task, examples, head)
    return [made.batch(list(range(min(FEW, len(made))))), made.batch([0])]


def artifact(
    store: Store,
    checkpoint: Entry,
    head: Head,
    prune: Prune,
    quant: Quant,
    form: Format,
    samples: list[Batch],
    examples: list[Batch],
    device: Device,
) -> Entry:
    """Return the compressed model: an artifact folder (see effcomp.artifact.folder).

    Args:
        checkpoint: the fine-tuned or the pruned model.
        prune: how it was pruned.
        form: how the weights lie in the folder, as the runtime reads them.
        samples: what `calibration` gave; the checkpoint's hash says which they are.
        examples: what `few` gave.
        device: whose measurements this work must not disturb.
    """
    key = {
        "checkpoint": checkpoint.hash,
        "quant": quant.key(),
        "format": form.name,
        "code": source_key("effcomp.artifact.folder", "effcomp.artifact", "effcomp.quant", *MODELS),
        "libraries": {name: version(name) for name in ("torch", "transformers", *form.packages, *quant.packages)},
    }

    def build(folder: Path) -> None:
        log.info("compressing: prune=%s, quant=%s, as %s", prune.name, quant.name, form.name)
        model, tokenizer = load_checkpoint(checkpoint.path, head)
        with device_lock.shared(device):
            write_artifact(model, tokenizer, head, prune, quant, form, samples, examples, folder)

    return store.get("artifact", key, build)


def machine_rates(store: Store, worker: Worker, device: Device) -> dict[str, float]:
    """What the machine reaches on matrix products and memory: measured once for each machine and thread count, by a
    worker whose own memory has been read (this takes more of it)."""
    key = {
        "device": machine.device_name(device),
        "instruction_sets": machine.cpu_info()[1],
        "threads": device.threads,
        "code": source_key("effcomp.measure.roofline", "effcomp.quant.dynamic_linear"),
        "torch": version("torch"),
    }

    def build(folder: Path) -> None:
        log.info("measuring the machine's own rates, once")
        (folder / RATES_FILE).write_text(json.dumps(worker.ask("machine_rates")))

    rates: dict[str, float] = json.loads((store.get("machine", key, build).path / RATES_FILE).read_text())
    return rates
