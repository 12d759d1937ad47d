"""The single run function: fine-tune, compress, measure, compare. Read it from top to bottom."""

import json
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effcomp import stages
from effcomp.compose import Parts
from effcomp.compress.artifact import artifact_bytes, read_description
from effcomp.compress.prune.base import NoPrune, Pruner
from effcomp.compress.quant.floats import Float
from effcomp.device import Device
from effcomp.errors import UserError
from effcomp.finetune.base import Finetune, NoFinetune, read_curve
from effcomp.heads import HEADS, Head
from effcomp.measure import machine
from effcomp.measure.measurement import Measured, Times, measure, watch_idle
from effcomp.measure.pair import Pair, Side
from effcomp.measure.trace import Sample
from effcomp.record import (
    Cost,
    LanguageQuality,
    LanguageVersus,
    NotMeasured,
    Quality,
    Record,
    Truth,
    VersusBaseline,
)
from effcomp.runtimes.torch import Torch
from effcomp.store import Entry, Store
from effcomp.tasks.base import Splits, fold_split
from effcomp.tasks.blocks import text_size
from effcomp.tasks.classification import compare, score
from effcomp.tasks.language import compare_blocks, score_blocks

log = logging.getLogger(__name__)

BASELINE_PRUNE = NoPrune(name="none")
BASELINE_QUANT = Float(name="none", dtype="float32")
BASELINE_RUNTIME = Torch(name="torch")
RAW_FILE = "times.npz"
UNTRAINED = NotMeasured(reason="model.weights=random: the model has learned nothing")


@dataclass(frozen=True)
class Result:
    """A finished run: the Record, and the series that go beside it."""

    record: Record
    training_curve: list[dict[str, Any]]
    recovery_curve: list[dict[str, Any]]
    """Of the training after pruning; empty without."""
    trace: list[Sample]
    raw: Times
    """Every single call's milliseconds, (turns, calls), by what was called."""
    started_ms: int
    """When the run began, Unix time."""

    def write_raw(self, folder: Path) -> None:
        """Every single time, beside the record: RAW_FILE, numpy's compressed format."""
        np.savez_compressed(folder / RAW_FILE, allow_pickle=False, **self.raw)


def run(parts: Parts) -> Result:
    """Everything that one configuration asks for; what the store holds is not computed again.

    Raises:
        UserError: the configuration cannot work (`compose.check` finds most of it before this).
        WorkerFailed: a measured process failed; its own words are in the message.
    """
    started_ms = time.time_ns() // 1_000_000
    store, device = Store(parts.store), parts.device.resolved()
    random = parts.model.weights == "random"
    finetune = NoFinetune(name="none") if random else parts.finetune
    head = HEADS[parts.task.objective, parts.model.kind]

    if isinstance(parts.prune, Pruner):
        parts.prune.check_config(parts.model.shape(store))
    splits = parts.task.load()
    if parts.fold is not None:
        splits = Splits(*fold_split(splits.train, parts.folds, parts.fold), splits.label_names)
    finetune.check_examples(splits)
    parts.prune.check_examples(splits)
    samples = stages.calibration(store, parts.model, parts.task, splits, head, parts.quant, parts.seed)
    inputs = stages.tokens(store, parts.model, parts.task, splits, head)
    trained = stages.checkpoint(store, parts.model, parts.task, splits, head, finetune, device, parts.seed)
    pruned = stages.pruned(store, trained, head, parts.prune, splits, parts.task.max_length, device, parts.seed)
    form = parts.runtime.format
    baseline = stages.artifact(store, trained, head, BASELINE_PRUNE, BASELINE_QUANT, BASELINE_RUNTIME.format, [])
    variant = stages.artifact(store, pruned, head, parts.prune, parts.quant, form, samples)

    quality: Quality | LanguageQuality | NotMeasured
    versus: VersusBaseline | LanguageVersus | NotMeasured
    sides = (Side(baseline.path, BASELINE_RUNTIME), Side(variant.path, parts.runtime))
    pair = open_pair(parts, sides, inputs.path / stages.TOKENS_FILE, device)
    idle = watch_idle(parts.bench, pair)
    with pair:
        log.info("measuring %s beside its float32 baseline, each in its own process", parts.label)
        measured = measure(
            pair,
            parts.bench,
            parts.quant,
            lambda worker: stages.machine_rates(store, worker, device),
            idle,
            parts.seed,
        )
        if not random:
            before = stages.outputs(store, pair.baseline, baseline, inputs, head, BASELINE_RUNTIME, device)
            after = stages.outputs(store, pair.variant, variant, inputs, head, parts.runtime, device)
    if random:
        quality = versus = UNTRAINED
    else:
        quality, versus = judge(parts, splits, head, before, after)

    description = read_description(variant.path)
    touched = parts.quant.ways[parts.runtime.name].touches
    memory = measured.memory
    record = Record(
        config=parts.config,
        quality=quality,
        versus_baseline=versus,
        speed=measured.speed,
        cost=Cost(
            artifact_bytes=artifact_bytes(variant.path),
            weights_bytes=form.weights_bytes(variant.path),
            baseline_artifact_bytes=artifact_bytes(baseline.path),
            parameters=description.parameters,
            baseline_parameters=read_description(baseline.path).parameters,
            nonzero_share=description.nonzero_parameters / description.parameters,
            peak_rss_bytes=memory.peak_rss_bytes,
            library_rss_bytes=memory.library_rss_bytes,
            load_added_rss_bytes=memory.load_added_rss_bytes,
            inference_added_rss_bytes=memory.inference_added_rss_bytes,
            baseline_peak_rss_bytes=measured.baseline_memory.peak_rss_bytes,
            load_time_ms=measured.load_time_ms,
            first_call_ms=measured.first_call_ms,
            finetune_s=seconds_in(trained),
            recovery_s=seconds_in(pruned) if parts.prune.trains else None,
            energy_per_sample_j=measured.energy.per_sample_j,
            energy_counter=measured.energy.counter,
            idle_power_w=measured.energy.idle_power_w,
            pss_bytes=memory.pss_bytes,
            compile_ms=measured.compile_ms,
            bits_per_parameter=8 * form.weights_bytes(variant.path) / description.parameters,
            quantised_layers=list(touched),
            quantised_share=sum(description.parameters_by_kind[kind] for kind in touched) / description.parameters,
            nonzero_parameters=description.nonzero_parameters,
            gpu_allocated_bytes=memory.gpu["allocated"] if memory.gpu else None,
            gpu_reserved_bytes=memory.gpu["reserved"] if memory.gpu else None,
            gpu_process_bytes=memory.gpu.get("process") if memory.gpu else None,
        ),
        truth=truth(parts, finetune, splits, baseline, variant, measured),
    )
    recovery_curve = read_curve(pruned.path) if parts.prune.trains else []
    return Result(record, read_curve(trained.path), recovery_curve, measured.trace, measured.raw, started_ms)


def seconds_in(checkpoint: Entry) -> float:
    """What the training of a checkpoint took when it was computed."""
    seconds: float = json.loads((checkpoint.path / stages.TIMING_FILE).read_text())["seconds"]
    return seconds


def open_pair(parts: Parts, sides: tuple[Side, Side], inputs: Path, device: Device) -> Pair:
    """The two processes, not yet started.

    Raises:
        UserError: the texts or the model are too short for the length that is asked for.
    """
    length, longest = parts.bench.fixed_length, sides[0].longest()
    if length is not None and longest is not None and length > longest:
        raise UserError(f"bench.fixed_length={length}: this model reads at most {longest} tokens")
    try:
        return Pair(sides, inputs, device, parts.bench.fixed_length)
    except ValueError as error:
        raise UserError(f"bench.fixed_length={parts.bench.fixed_length}: {error}") from error


def judge(
    parts: Parts, splits: Splits, head: Head, before: NDArray[Any], after: NDArray[Any]
) -> tuple[Quality | LanguageQuality, VersusBaseline | LanguageVersus]:
    """The variant's scores, and how they differ from the baseline's: logits of classes, or losses of blocks."""
    margin, seed = parts.bench.noninferiority_margin, parts.seed
    if head == "sequence_classification":
        quality = score(after, splits.test, splits.label_names, seed)
        return quality, compare(before, after, splits.test.labels, margin, seed)
    size = text_size(splits.test) if head == "causal_lm" else None
    return score_blocks(after, size, seed), compare_blocks(before, after, margin, seed)


def truth(
    parts: Parts,
    finetune: Finetune,
    splits: Splits,
    baseline: Entry,
    variant: Entry,
    measured: Measured,
) -> Truth:
    """Under what circumstances the numbers hold."""
    device = parts.device.resolved()
    assert device.threads is not None, "a resolved device has its threads counted"
    return Truth(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        device=machine.device_name(device),
        device_kind=device.kind,
        instruction_sets=list(machine.cpu_info()[1]),
        cpu_capability=measured.cpu_capability,
        threads=device.threads,
        environment=device.environment(),
        libraries=machine.library_versions(),
        git_commit=machine.git_commit(),
        seed=parts.seed,
        data_fingerprint=splits.fingerprint(),
        train_examples=finetune.examples_used(splits.train),
        test_examples=len(splits.test),
        tokens="synthetic" if parts.model.without_source else "the task's texts",
        artifact=variant.hash,
        baseline_artifact=baseline.hash,
        finetune_precision=finetune.precision_on(device),
        kernels=measured.ran.kernels,
        promised_kernel_ran=measured.ran.promised,
        int8_products=measured.ran.int8_products,
        instructions=measured.ran.instructions,
        providers=measured.ran.providers,
        machine_rates=measured.rates,
        conditions=measured.conditions,
    )
