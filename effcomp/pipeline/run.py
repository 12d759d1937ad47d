"""Run of one configuration: fine-tune, compress, measure, compare."""

import logging
import time
from contextlib import nullcontext
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from effcomp.core import device_lock, machine, memory
from effcomp.core.code_key import code_key
from effcomp.core.component import packages_of
from effcomp.core.packages import versions
from effcomp.core.store import Entry
from effcomp.core.template import Template
from effcomp.finetune.base import read_curve
from effcomp.measure.client import KeptTemplate
from effcomp.measure.energy import watch_idle
from effcomp.measure.measurement import MachineFacts, Measured, measure
from effcomp.measure.quiet import QuietWait
from effcomp.measure.stopping import is_last
from effcomp.measure.timing import Timed, time_pair
from effcomp.pipeline.between import between_measurements, between_pairs, earlier_records
from effcomp.pipeline.compose import Components
from effcomp.pipeline.compressed import artifact
from effcomp.pipeline.layer_costs import predicted, target_costs
from effcomp.pipeline.pairing import pair_of
from effcomp.pipeline.predictions import Predictions, predictions_of
from effcomp.pipeline.prepare import prepare
from effcomp.pipeline.rates import machine_rates
from effcomp.pipeline.record import (
    calibration_row,
    data_row,
    size_row,
    software_row,
    training_row,
    vocabulary_row,
)
from effcomp.pipeline.rehearsal import rehearse
from effcomp.pipeline.scores import NOTHING_TO_JUDGE, Judged, judge
from effcomp.pipeline.stage import Run
from effcomp.pipeline.tokens import tokens
from effcomp.pipeline.training import checkpoint, pruned
from effcomp.quant.lowering import Lowering, lowering
from effcomp.record import Cost, Record, Truth, Vocabulary, label
from effcomp.record.probe import probe_modules
from effcomp.record.result import Result

log = logging.getLogger(__name__)


def run(components: Components, template: KeptTemplate | None = None) -> Result:
    """Compute the Result of one configuration; entries of the store are reused.

    Args:
        template: template of the measured processes of this run and others; None: this run has one of its own.

    Raises:
        UserError: the configuration does not fit the data or the model, which `checks.check` does not read.
        ProcessFailed: a measured process failed; the message quotes it.
    """
    started_ms, prepared = now_ms(), prepare(components)
    key = result_key(prepared)
    components.tracking.prepare()  # after all checks: a refused one leaves nothing
    for file, read, used in prepared.splits.rows:
        log.info("%s: %d rows or documents read, %d of them examples", file, read, used)
    splits = prepared.splits  # folds, slices and task.test_size leave fewer
    log.info("%d examples to train on, %d to test on", len(splits.train), len(splits.test))

    def build(folder: Path) -> None:
        with KeptTemplate() if template is None else nullcontext(template) as kept:
            compress_and_measure(prepared, kept).write(folder)

    stored = prepared.store.get("result", key, build, again=components.remeasure)
    if not stored.created:
        log.info("measured before (remeasure=true measures again): %s", stored.path)
    result = Result.read(stored.path)
    if not stored.created and prepared.store.find("artifact", result.record.truth.artifact) is None:
        compress(prepared)  # removed or damaged since: the measured artifact must exist
    # Tracking and store settings are this run's; they do not affect the measurement.
    record = result.record.model_copy(update={"config": components.config})
    return replace(result, record=record, started_ms=started_ms, ended_ms=now_ms())


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def result_key(run: Run) -> dict[str, Any]:
    """Return all that a Result depends on, apart from the time of the measurement."""
    parts = run.components
    return {
        "model": parts.model.identity(run.store),
        "data": run.splits.fingerprint(),
        "signature": asdict(parts.task.signature()),
        "scoring": parts.task.scoring_key(run.store),
        "finetune": parts.finetune.key(),
        "prune": parts.prune.key(),
        "quant": parts.quant.key(),
        "runtime": parts.runtime.key(),
        "bench": parts.bench.key(),
        "device": run.device.spec(),
        "device_name": machine.device_name(run.device),
        "processor": machine.cpu_info(),
        "seed": parts.seed,
        "code": code_key(
            __name__, type(parts.model).__module__, type(parts.runtime.file_format).__module__, *probe_modules()
        ),
        "libraries": versions("torch", "transformers", "numpy", *parts.runtime.file_format.packages),
    }


class Compressed(NamedTuple):
    """Entries of the store before anything is measured."""

    trained: Entry
    recovered: Entry
    """The pruned checkpoint; the trained one without pruning."""
    baseline: Entry
    variant: Entry


def compress(run: Run) -> Compressed:
    """Train, prune, and write the artifacts of baseline and variant."""
    rehearse(run)
    target_costs(run)  # refuses a target that no shape reaches, before the training
    trained = checkpoint(run)
    recovered = pruned(run, trained)
    return Compressed(trained, recovered, artifact(run.baseline(), trained), artifact(run, recovered))


def vocabulary(run: Run) -> Vocabulary | None:
    """Return the row of the tokens that pruning leaves, and log it; None where it leaves all, or has others."""
    if not run.components.prune.remaps_tokens:
        return None
    own = run.baseline().tokenizer
    if run.tokenizer is None or own is None or not run.tokenizer.get_vocab().keys() < own.get_vocab().keys():
        return None
    row = vocabulary_row(run.splits.test, own, run.tokenizer)
    log.info(
        "prune=%s keeps %d of %d tokens; smaller ones spell %.2f %% of the test's tokens, in %.1f %% of its texts",
        *(run.components.prune.name, row.tokens, row.baseline_tokens),
        *(100 * row.respelled_tokens_share, 100 * row.respelled_texts_share),
    )
    return row


def compress_and_measure(run: Run, template: KeptTemplate) -> Result:
    """Compress; then measure with the device to itself, and score the answers."""
    started_ms, parts = now_ms(), run.components
    common = template.on(run.device) if parts.bench.pairs == 1 else None  # it imports while this process compresses
    inputs, kept = (tokens(run.baseline()), tokens(run)), vocabulary(run)
    compressed = compress(run)
    measured, answered = measure_and_answer(run, compressed, inputs, common)
    judged = judge(run, *answered) if answered else NOTHING_TO_JUDGE
    return Result(
        record=assembled_record(run, compressed, measured, judged, kept),
        training_curve=read_curve(compressed.trained.path),
        recovery_curve=read_curve(compressed.recovered.path) if parts.prune.trains else [],
        trace=measured.trace,
        raw=measured.raw,
        texts=judged.texts,
        started_ms=started_ms,
        ended_ms=now_ms(),
    )


def measure_and_answer(
    run: Run, compressed: Compressed, inputs: tuple[Entry, Entry], common: Template | None
) -> tuple[Measured, tuple[Predictions, Predictions] | None]:
    """Measure baseline and variant in turns, with the device to itself, and let the first pair of processes answer the
    test.

    Args:
        inputs: the token ids of the test, for the baseline and for the variant.
        common: template of both processes; None: each starts by itself.

    Returns:
        The measurement, and the answers of baseline and variant; None for random weights, whose answers say nothing.
    """
    parts, device, base = run.components, run.device, run.baseline()
    pair = pair_of(run, (compressed.baseline.path, compressed.variant.path), inputs, common)
    memory.release_gpu(device)  # of the training
    timed, answered = list[Timed](), None
    with device_lock.alone(device):
        log.info("measuring %s beside its float32 baseline, each in its own process", label(parts.config))
        quiet_wait = QuietWait(device, parts.bench.quiet_wait_s)
        if common is not None:
            common.wait_until_ready()  # an idle machine imports nothing
        quiet_wait.wait()
        idle = watch_idle(parts.bench, device)
        earlier = earlier_records(run)
        facts = MachineFacts(
            rates_of=lambda worker: machine_rates(run, worker),
            quiet_wait=quiet_wait,
            between_pairs=between_pairs(run, earlier),
            between_measurements=between_measurements(run, earlier),
        )
        last = False
        while not last:
            if timed:
                quiet_wait.wait()
            with pair:
                timed.append(time_pair(pair, parts.bench, idle))
                last = is_last(timed, parts.bench)
                if last:
                    measured = measure(pair, parts.bench, timed, facts, parts.seed)
                # Other work between the first pair and the next.
                if parts.model.weights != "random" and len(timed) == 1:
                    answered = (
                        predictions_of(base, pair.baseline, compressed.baseline, inputs[0]),
                        predictions_of(run, pair.variant, compressed.variant, inputs[1]),
                    )
    return measured, answered


def assembled_record(
    run: Run, compressed: Compressed, measured: Measured, judged: Judged, kept: Vocabulary | None
) -> Record:
    """Return the Record: what was measured and judged, and all that these numbers depend on.

    Args:
        kept: the row of the tokens that pruning leaves.
    """
    parts, (trained, recovered, baseline, variant) = run.components, compressed
    touched = lowering(parts.quant, parts.runtime.name, Lowering).applies_to
    needed = packages_of(parts.quant, parts.runtime, parts.finetune, parts.prune)
    return Record(
        config=parts.config,
        quality=judged.quality,
        versus_baseline=judged.versus,
        speed=measured.speed.model_copy(update={"writing": judged.writing, "predicted": predicted(run, recovered)}),
        cost=Cost(
            size=size_row(baseline.path, variant.path, parts.runtime.file_format, touched),
            memory=measured.memory,
            energy=measured.energy,
            training=training_row(trained.path, recovered.path if parts.prune.trains else None),
            load=measured.load,
            probes=measured.probes,
            calibration=calibration_row(variant.path),
        ),
        truth=Truth(
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            seed=parts.seed,
            finetune_precision=parts.finetune.precision_on(run.device),
            artifact=variant.hash,
            baseline_artifact=baseline.hash,
            machine=measured.machine,
            software=software_row([*needed, *parts.runtime.file_format.packages]),
            data=data_row(
                run.splits,
                parts.finetune.examples_used(run.splits.train),
                synthetic=parts.model.without_source,
                vocabulary=kept,
            ),
            kernels=measured.kernels,
            conditions=measured.conditions,
        ),
    )
