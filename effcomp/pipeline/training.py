"""Stages that fine-tune and prune a model into checkpoints of the store."""

import json
import logging
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effcomp.artifact.agreement import reference_answers
from effcomp.core import device_lock, memory
from effcomp.core.code_key import code_key
from effcomp.core.packages import versions
from effcomp.core.store import Entry, scratch_folder
from effcomp.finetune.base import TrainingSetup
from effcomp.models.base import load_checkpoint
from effcomp.pipeline.layer_costs import target_costs
from effcomp.pipeline.tokens import few
from effcomp.prune.base import PruneAndRecover
from effcomp.record import model_called, task_called

if TYPE_CHECKING:
    from effcomp.pipeline.stage import Run

log = logging.getLogger(__name__)

TIMING_FILE = "timing.json"


def checkpoint(run: "Run") -> Entry:
    """Fine-tune the model: a folder as save_pretrained writes it, with the training curve and TIMING_FILE."""
    parts = run.components
    model, task, finetune, seed = parts.model, parts.task, parts.finetune, parts.seed
    precision = finetune.precision_on(run.device)
    key: dict[str, Any] = {
        "model": model.identity(run.store),
        "data": run.splits.training_fingerprint(),
        "max_length": task.max_length,
        "head": run.head,
        "finetune": finetune.key(),
        "precision": precision,
        "device": run.device.kind,
        "seed": seed,
        "code": code_key(__name__, type(model).__module__),
        "libraries": versions("torch", "transformers"),
    }
    scratch = scratch_folder(run.store, "checkpoint", key)

    def build(folder: Path) -> None:
        built = model.build(run.head, run.splits.label_names, seed, run.store, as_it_is=not finetune.trains)
        if finetune.trains:
            reference_answers(built.eval(), few(run.baseline()))  # refuses a model that fails
            called = model_called(parts.config), task_called(parts.config)
            log.info("fine-tuning %s on %s (%s, %s)", *called, finetune.name, precision)
        setup = TrainingSetup(
            model=built,
            head=run.head,
            tokenizer=model.tokenizer(run.store),
            examples=run.splits.train,
            max_length=task.max_length,
            device=run.device,
            seed=seed,
            scratch=scratch,
        )
        with device_lock.shared(run.device):
            memory.reset_gpu_peak(run.device)
            start = time.perf_counter()
            finetune.write(setup, folder)
            seconds = time.perf_counter() - start
        shutil.rmtree(scratch, ignore_errors=True)
        peak_gpu_bytes = memory.gpu_peak_bytes(run.device) if finetune.trains else None
        timing = {"seconds": round(seconds, 3), "peak_gpu_bytes": peak_gpu_bytes}
        (folder / TIMING_FILE).write_text(json.dumps(timing))

    entry = run.store.get("checkpoint", key, build)
    if finetune.trains and not entry.created:
        log.info("fine-tuned before: %s", entry.path)
    return entry


def pruned(run: "Run", trained: Entry) -> Entry:
    """Prune the checkpoint and recover it: a folder of the same kind, with the curve of the recovery and its seconds in
    TIMING_FILE. Without pruning, return the checkpoint itself."""
    prune, seed = run.components.prune, run.components.seed
    if not isinstance(prune, PruneAndRecover):
        return trained
    costs = target_costs(run)
    key: dict[str, Any] = {
        "checkpoint": trained.hash,
        "prune": prune.key(),
        "costs": None if costs is None else asdict(costs),
        "default_names": run.splits.default_names,
        "precision": prune.precision_on(run.device),
        "device": run.device.kind,
        "seed": seed,
        "code": code_key(__name__),
        "libraries": versions("torch", "transformers"),
    }
    scratch = scratch_folder(run.store, "pruned", key)

    def build(folder: Path) -> None:
        log.info("pruning: %s, then recovery: %s", prune.name, prune.recovery.name)
        model, tokenizer = load_checkpoint(trained.path, run.head)
        setup = TrainingSetup(
            model=model,
            head=run.head,
            tokenizer=tokenizer,
            examples=run.splits.train,
            max_length=run.components.task.max_length,
            device=run.device,
            seed=seed,
            scratch=scratch,
            default_names=run.splits.default_names,
            costs=costs,
        )
        with device_lock.shared(run.device):
            seconds = prune.write(setup, trained.path, folder)
        shutil.rmtree(scratch, ignore_errors=True)
        (folder / TIMING_FILE).write_text(json.dumps({"seconds": round(seconds, 3)}))

    entry = run.store.get("pruned", key, build)
    if not entry.created:
        log.info("pruned before: %s", entry.path)
    return entry
