"""Stage that measures what the shapes of a model's layers cost on the run's device and runtime, before any training."""

import contextlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import AutoConfig

from effcomp.artifact.folder import Compression, Trained, artifact_bytes, write_artifact
from effcomp.core import device_lock, machine
from effcomp.core.code_key import code_key
from effcomp.core.packages import versions
from effcomp.core.progress import Progress
from effcomp.core.statistics import ratio_interval
from effcomp.core.store import Entry
from effcomp.core.template import Template
from effcomp.measure.client import template
from effcomp.measure.disturbance import DisturbedTurns
from effcomp.measure.pair import measure_batch
from effcomp.measure.quiet import QuietWait
from effcomp.models.blocks import counts, dense_counts, shrink
from effcomp.models.costs import Costs, Shape, block_of, contradictions, fitted, shapes_to_measure
from effcomp.models.depth import keep_layers
from effcomp.pipeline.pairing import pair_of
from effcomp.pipeline.tokens import calibration, few, tokens
from effcomp.quant.lowering import Lowering, lowering
from effcomp.record import Predicted

if TYPE_CHECKING:
    from effcomp.pipeline.stage import Run

log = logging.getLogger(__name__)

COSTS_FILE = "costs.json"
REPEATS = 2
"""Most further measurements of shapes whose times contradict one another."""


def target_costs(run: "Run") -> Costs | None:
    """Return the costs of the shapes of layers in the quantity of the pruning's target; None where it measures none.

    Raises:
        UserError: no shape reaches the target.
    """
    prune = run.components.prune
    if prune.measures is None:
        return None
    costs = measured_costs(run, prune.measures)
    prune.check_costs(run.components.model.config(run.store), costs)
    return costs


def predicted(run: "Run", recovered: Entry) -> Predicted | None:
    """Return the speed that the table of layer times gives for a pruned checkpoint; None where no time was asked for.

    The checkpoint's layers have the shapes that its config states.
    """
    if run.components.prune.measures not in {"speedup", "latency_ms"}:
        return None
    shapes = counts(AutoConfig.from_pretrained(recovered.path))
    share, latency_ms = (measured_costs(run, quantity).total(shapes) for quantity in ("speedup", "latency_ms"))
    return Predicted(speedup=1 / share, latency_p50_ms=latency_ms, shapes=shapes)


def measured_costs(run: "Run", quantity: str) -> Costs:
    """Return the costs of the shapes of layers: in bytes of the artifact (`artifact_bytes`), in milliseconds
    (`latency_ms`), or as a share of the baseline's time (`speedup`).

    The model before training is written in several shapes, as the run's artifact is. For a time each is timed beside
    the float32 baseline, in a fresh pair of processes, on the texts and at the batch size of the record's speed-up.
    """
    parts, device = run.components, run.device
    timed, config = quantity != "artifact_bytes", parts.model.config(run.store)
    writes = lowering(parts.quant, parts.runtime.name, Lowering).writes
    key = {
        "architecture": json.loads(config.to_json_string(use_diff=False)),
        "tokens": [tokens(run.baseline()).hash, tokens(run).hash],
        "head": run.head,
        "quant": parts.quant.key(),
        "runtime": parts.runtime.key(),
        "bench": parts.bench.key() if timed else None,
        "device": device.spec(),
        "device_name": machine.device_name(device),
        "processor": machine.cpu_info(),
        "code": code_key(__name__, type(parts.runtime.file_format).__module__, writes.__module__),
        "libraries": versions("torch", "transformers", *parts.runtime.file_format.packages),
    }
    block = block_of(dense_counts(config)[0][1])

    def build(folder: Path) -> None:
        rows = measure_shapes(run, shapes_to_measure(counts(config), block), block, timed=timed)
        (folder / COSTS_FILE).write_text(json.dumps(rows, indent=1) + "\n")

    rows = json.loads((run.store.get("layer_costs", key, build).path / COSTS_FILE).read_text())
    costs = {Shape(*row["shape"]): 1 / row["speedup"] if quantity == "speedup" else row[quantity] for row in rows}
    return fitted(costs, block)


def measure_shapes(run: "Run", shapes: list[Shape], block: int, *, timed: bool) -> list[dict[str, Any]]:
    """Write the model before training in these shapes, the full one first, and measure each.

    Args:
        block: number of neurons in a block.
        timed: measure the time too.

    Returns:
        A row for each shape, with `artifact_bytes`; timed: with `speedup`, and with `latency_ms` beside a baseline
        that is as fast as its median over all shapes.
    """
    log.info("measuring the layers of %d shapes on runtime=%s", len(shapes), run.components.runtime.name)
    quiet_wait = QuietWait(run.device, run.components.bench.quiet_wait_s if timed else 0)
    runtimes = (run.baseline().components.runtime, run.components.runtime) * len(shapes) if timed else ()
    with (
        tempfile.TemporaryDirectory(prefix="effcomp-") as name,
        template(runtimes, run.device) or contextlib.nullcontext() as common,
    ):
        folder = Path(name)
        if timed:
            write_shape(run.baseline(), shapes[0], block, folder / "baseline")

        def measure(some: Iterable[Shape]) -> dict[Shape, dict[str, Any]]:
            found = {}
            with Progress("measuring layers", len(waiting := list(some))) as progress:
                for shape in waiting:
                    write_shape(run, shape, block, artifact := folder / "artifact")
                    found[shape] = {"shape": shape, "artifact_bytes": artifact_bytes(artifact)}
                    if timed:
                        quiet_wait.wait()
                        found[shape] |= time_beside(run, folder / "baseline", artifact, common)
                    shutil.rmtree(artifact)
                    progress.add(1)
            return found

        rows = measure(shapes)
        for _ in range(REPEATS if timed else 0):
            if not (doubtful := contradictions({shape: 1 / row["speedup"] for shape, row in rows.items()})):
                break
            log.info("measuring %d shapes again: a smaller one took longer than a larger one", len(doubtful))
            rows |= measure(sorted(doubtful))
    if timed:
        baseline_ms = median(row["baseline_ms"] for row in rows.values())
        rows = {shape: row | {"latency_ms": baseline_ms / row["speedup"]} for shape, row in rows.items()}
    return list(rows.values())


def write_shape(run: "Run", shape: Shape, block: int, folder: Path) -> None:
    """Write the model before training in this shape as the run's artifact; codes are rounded to nearest, which changes
    neither time nor size."""
    parts = run.components
    model = parts.model.build(run.head, run.splits.label_names, parts.seed, run.store, as_it_is=False)
    if parts.prune.remaps_tokens and run.tokenizer is not None:
        model.resize_token_embeddings(len(run.tokenizer))
    keep_layers(model, range(shape.layers))
    heads, neurons = range(shape.heads), range(shape.blocks * block)
    shrink(model, [(heads[: present[0]], neurons[: present[1]]) for present in counts(model.config)])
    nearest = {"rounding": "nearest"} if "rounding" in type(parts.quant).model_fields else {}
    compression = Compression(parts.prune, parts.quant.model_copy(update=nearest), parts.runtime.file_format)
    folder.mkdir()
    with device_lock.shared(run.device):
        write_artifact(Trained(model, run.tokenizer, run.head), compression, calibration(run), few(run), folder)


def time_beside(run: "Run", baseline: Path, artifact: Path, common: Template | None) -> dict[str, float]:
    """Time an artifact beside the baseline's, each in a fresh process of this template where it has the libraries."""
    pair = pair_of(run, (baseline, artifact), (tokens(run.baseline()), tokens(run)), common)
    bench = run.components.bench
    with device_lock.alone(run.device), pair:
        times = measure_batch(pair, bench, bench.batch_sizes[0], DisturbedTurns(bench.turns), progress=lambda _: None)
    speedup = ratio_interval(times.baseline, times.variant).value
    return {"speedup": speedup, "baseline_ms": float(np.median(times.baseline))}
