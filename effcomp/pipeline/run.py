"""The single run function: fine-tune, compress, measure, compare. Read it from top to bottom."""

import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from effcomp.core import device_lock, machine, memory
from effcomp.core.code_key import source_key
from effcomp.core.component import foreign_modules
from effcomp.core.device import Device
from effcomp.core.store import Entry, Store
from effcomp.evaluate.judge import Judged, judge
from effcomp.finetune.base import read_curve
from effcomp.measure.client import Side
from effcomp.measure.measurement import measure, watch_idle
from effcomp.measure.pair import Pair
from effcomp.models.heads import HEADS
from effcomp.pipeline import stages
from effcomp.pipeline.checks import check_fit
from effcomp.pipeline.compose import Parts
from effcomp.pipeline.predictions import answers
from effcomp.pipeline.record import data_row, size_row, software_row, training_row
from effcomp.prune.base import NoPrune, Pruner
from effcomp.quant.floats import Float
from effcomp.quant.lowering import Lowering, lowering
from effcomp.record import Cost, NotMeasured, Record, Truth, label
from effcomp.record.result import Result
from effcomp.runtimes.torch import Torch
from effcomp.tasks.base import Splits, fold_split

log = logging.getLogger(__name__)

BASELINE_PRUNE = NoPrune(name="none")
BASELINE_QUANT = Float(name="none", dtype="float32")
BASELINE_RUNTIME = Torch(name="torch")
WHAT_COMPUTES = (
    *("artifact", "core.batches", "core.device", "core.machine", "core.memory", "core.process", "core.statistics"),
    *("evaluate", "finetune", "measure", "metrics", "models", "pipeline.predictions"),
    *("pipeline.record", "pipeline.run"),
    *("pipeline.stages", "prune", "quant", "record", "runtimes", "tasks"),
)
"""The packages and modules whose change makes a measurement stale."""
UNTRAINED = NotMeasured(reason="model.weights=random: the model has learned nothing")
NOTHING_TO_JUDGE = Judged(UNTRAINED, UNTRAINED)


def run(parts: Parts) -> Result:
    """Everything that one configuration asks for; what the store holds is not computed again.

    Raises:
        UserError: the configuration cannot work: what `compose.check` cannot see without the data.
        ProcessFailed: a measured process failed; its own words are in the message.
    """
    started_ms = now_ms()
    store, device = Store(parts.store), parts.device.resolved()
    if isinstance(parts.prune, Pruner):
        parts.prune.check_config(parts.model.shape(store))
    splits = parts.task.load()
    if parts.fold is not None:
        splits = Splits(*fold_split(splits.train, parts.folds, parts.fold), splits.label_names)
    if splits.label_names and not parts.finetune.trains and parts.model.weights == "pretrained":
        splits = splits.with_labels(parts.model.labels_order(splits.label_names, store))
    head = HEADS[parts.task.objective, parts.model.kind]
    parts.finetune.check_task(splits, head, parts.task.max_length)
    parts.prune.check_task(splits, head, parts.task.max_length)
    check_fit(parts, store, splits)
    key = result_key(parts, store, device, splits)
    parts.tracking.prepare()  # after whatever refuses the configuration: nothing is left of it

    def build(folder: Path) -> None:
        compress_and_measure(parts, store, device, splits).write(folder)

    measured = store.get("result", key, build, again=parts.remeasure)
    if not measured.created:
        log.info("measured before (remeasure=true measures again): %s", measured.path)
    result = Result.read(measured.path)
    if not measured.created and store.find("artifact", result.record.truth.artifact) is None:
        compress(parts, store, device, splits)  # removed or damaged since: what was measured is to be there
    # Where it is tracked and stored is this run's, and does not change what was measured.
    record = result.record.model_copy(update={"config": parts.config})
    return replace(result, record=record, started_ms=started_ms, ended_ms=now_ms())


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def result_key(parts: Parts, store: Store, device: Device, splits: Splits) -> dict[str, Any]:
    """All that a Result depends on, but for the moment at which it is measured."""
    return {
        "model": parts.model.identity(store),
        "data": splits.fingerprint(),
        "max_length": parts.task.max_length,
        "objective": parts.task.objective,
        "scoring": parts.task.scoring_key(store),
        "finetune": parts.finetune.key(),
        "prune": parts.prune.key(),
        "quant": parts.quant.key(),
        "runtime": parts.runtime.key(),
        "bench": parts.bench.key(),
        "device": device.spec(),
        "device_name": machine.device_name(device),
        "processor": machine.cpu_info(),
        "seed": parts.seed,
        "code": source_key(*(f"effcomp.{name}" for name in WHAT_COMPUTES)),
        "libraries": machine.library_versions(),
    }


@dataclass(frozen=True)
class Compressed:
    """What is in the store before anything is measured."""

    trained: Entry
    pruned: Entry
    baseline: Entry
    variant: Entry


def compress(parts: Parts, store: Store, device: Device, splits: Splits) -> Compressed:
    """Train, prune, compress.

    Args:
        device: resolved.
    """
    head = HEADS[parts.task.objective, parts.model.kind]
    form = parts.runtime.format
    samples = stages.calibration(store, parts.model, parts.task, splits, head, parts.quant, parts.seed)
    examples = stages.few(store, parts.model, parts.task, splits, head)
    trained = stages.checkpoint(store, parts.model, parts.task, splits, head, parts.finetune, device, parts.seed)
    pruned = stages.pruned(store, trained, head, parts.prune, splits, parts.task.max_length, device, parts.seed)
    baseline = stages.artifact(
        store, trained, head, BASELINE_PRUNE, BASELINE_QUANT, BASELINE_RUNTIME.format, [], examples, device
    )
    variant = stages.artifact(store, pruned, head, parts.prune, parts.quant, form, samples, examples, device)
    return Compressed(trained, pruned, baseline, variant)


def compress_and_measure(parts: Parts, store: Store, device: Device, splits: Splits) -> Result:
    """What `compress` does; then measure with the device to itself."""
    started_ms, random = now_ms(), parts.model.weights == "random"
    head = HEADS[parts.task.objective, parts.model.kind]
    inputs = stages.tokens(store, parts.model, parts.task, splits, head)
    stored = compress(parts, store, device, splits)
    trained, pruned, baseline, variant = stored.trained, stored.pruned, stored.baseline, stored.variant

    sides = (
        Side(baseline.path, BASELINE_RUNTIME),
        Side(variant.path, parts.runtime, foreign_modules(parts.quant)),
    )
    pair = Pair(sides, inputs.path / stages.TOKENS_FILE, device, parts.bench.fixed_length)
    memory.release_gpu(device)  # of the training
    with device_lock.alone(device), ExitStack() as workers:
        log.info("measuring %s beside its float32 baseline, each in its own process", label(parts.config))
        idle = watch_idle(parts.bench, pair)
        workers.enter_context(pair)
        measured = measure(
            pair,
            parts.bench,
            parts.quant,
            lambda worker: stages.machine_rates(store, worker, device),
            idle,
            parts.seed,
        )
        if not random:
            before = answers(parts, store, pair.baseline, baseline, inputs, head, BASELINE_RUNTIME, device)
            after = answers(parts, store, pair.variant, variant, inputs, head, parts.runtime, device)
    judged = NOTHING_TO_JUDGE if random else judge(parts, store, splits, head, before, after)

    touched = lowering(parts.quant, parts.runtime.name, Lowering).applies_to
    record = Record(
        config=parts.config,
        quality=judged.quality,
        versus_baseline=judged.versus,
        speed=measured.speed.model_copy(update={"writing": judged.writing}),
        cost=Cost(
            size=size_row(baseline.path, variant.path, parts.runtime.format, touched),
            memory=measured.memory,
            energy=measured.energy,
            training=training_row(trained.path, pruned.path if parts.prune.trains else None),
            load=measured.load,
        ),
        truth=Truth(
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            seed=parts.seed,
            finetune_precision=parts.finetune.precision_on(device),
            artifact=variant.hash,
            baseline_artifact=baseline.hash,
            machine=measured.machine,
            software=software_row(),
            data=data_row(splits, parts.finetune.examples_used(splits.train), synthetic=parts.model.without_source),
            kernels=measured.kernels,
            conditions=measured.conditions,
        ),
    )
    return Result(
        record=record,
        training_curve=read_curve(trained.path),
        recovery_curve=read_curve(pruned.path) if parts.prune.trains else [],
        trace=measured.trace,
        raw=measured.raw,
        texts=judged.texts,
        started_ms=started_ms,
        ended_ms=now_ms(),
    )
