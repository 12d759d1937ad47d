"""Rehearsal: write and execute the untrained model once, so that a runtime's limits are known before the training."""

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from effcomp.artifact.architectures import TRIED
from effcomp.artifact.folder import Compression, Trained, write_artifact
from effcomp.core import device_lock
from effcomp.core.code_key import code_key
from effcomp.core.packages import versions
from effcomp.pipeline.tokens import few
from effcomp.prune.base import NoPrune
from effcomp.quant.floats import Float

if TYPE_CHECKING:
    from effcomp.pipeline.stage import Run

log = logging.getLogger(__name__)

REHEARSED_FILE = "rehearsed.json"


def rehearse(run: "Run") -> None:
    """Write the float32 model as the runtime reads it and compare its answers, where no test holds the architecture.

    Raises:
        UserError: it cannot be written, or is not executed as transformers does.
    """
    parts, form = run.components, run.components.runtime.file_format
    model_type = parts.model.config(run.store).model_type
    if form.name not in TRIED or model_type in TRIED[form.name] or not parts.finetune.trains:
        return
    key = {
        "model": parts.model.identity(run.store),
        "head": run.head,
        "format": form.name,
        "data": run.splits.training_fingerprint(),
        "max_length": parts.task.max_length,
        "code": code_key(__name__, type(form).__module__),
        "libraries": versions("torch", "transformers", *form.packages),
    }

    def build(folder: Path) -> None:
        log.info("trying runtime=%s with the architecture %s", parts.runtime.name, model_type)
        model = parts.model.build(run.head, run.splits.label_names, parts.seed, run.store, as_it_is=False)
        trained = Trained(model, parts.model.tokenizer(run.store), run.head)
        uncompressed = Compression(NoPrune(name="none"), Float(name="none", dtype="float32"), form)
        with device_lock.shared(run.device), tempfile.TemporaryDirectory(prefix="effcomp-") as scratch:
            write_artifact(trained, uncompressed, [], few(run.baseline()), Path(scratch))
        (folder / REHEARSED_FILE).write_text("{}\n")

    run.store.get("rehearsal", key, build)
