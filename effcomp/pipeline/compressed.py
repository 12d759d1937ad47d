"""Stage that compresses a model into an artifact folder (effcomp.artifact.folder) of the store."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from effcomp.artifact.folder import Compression, Trained, export_graph, write_artifact
from effcomp.core import device_lock
from effcomp.core.code_key import code_key
from effcomp.core.packages import versions
from effcomp.core.store import Entry
from effcomp.models.base import load_checkpoint
from effcomp.pipeline.tokens import calibration, few
from effcomp.quant.lowering import Lowering, lowering

if TYPE_CHECKING:
    from effcomp.pipeline.stage import Run

log = logging.getLogger(__name__)


def artifact(run: "Run", checkpoint: Entry) -> Entry:
    """Compress the fine-tuned or pruned model into the number format, in the file format that the runtime reads."""
    prune, quant, runtime = run.components.prune, run.components.quant, run.components.runtime
    form, writes = runtime.file_format, lowering(quant, runtime.name, Lowering).writes
    signature = run.components.task.signature()
    samples, examples = calibration(run), few(run)  # the checkpoint's hash and the format's fields say which they are
    key = {
        "checkpoint": checkpoint.hash,
        "quant": quant.key(),
        "format": form.name,
        "signature": asdict(signature),
        "fitted_on": run.device.kind if quant.rounds else None,
        "code": code_key(__name__, type(form).__module__, writes.__module__),
        "libraries": versions("torch", "transformers", *form.packages),
    }

    def build(folder: Path) -> None:
        exported = graph(run, checkpoint) if form.exports and not quant.rounds else None
        log.info("compressing: prune=%s, quant=%s, as %s", prune.name, quant.name, form.name)
        model, tokenizer = load_checkpoint(checkpoint.path, run.head)
        with device_lock.shared(run.device):
            trained = Trained(model, tokenizer, run.head, exported.path if exported is not None else None)
            compression = Compression(prune, quant, form, run.device.torch_name)
            write_artifact(trained, compression, samples, examples, folder)
            signature.write(folder)

    return run.store.get("artifact", key, build)


def graph(run: "Run", checkpoint: Entry) -> Entry:
    """Export the model into the float32 graph that all of its number formats begin with."""
    form = run.components.runtime.file_format
    key = {
        "checkpoint": checkpoint.hash,
        "format": form.name,
        "head": run.head,
        "code": code_key(__name__, type(form).__module__),
        "libraries": versions("torch", "transformers", *form.packages),
    }

    def build(folder: Path) -> None:
        log.info("exporting as %s", form.name)
        model, tokenizer = load_checkpoint(checkpoint.path, run.head)
        with device_lock.shared(run.device):
            export_graph(Trained(model, tokenizer, run.head), form, few(run), folder)

    return run.store.get("exported", key, build)
