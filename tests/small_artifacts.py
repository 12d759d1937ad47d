"""Artifacts of small models, for all tests."""

import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import TEMPORARY, compose_parts

if TYPE_CHECKING:
    from effcomp.artifact.file_format import FileFormat
    from effcomp.artifact.folder import Trained
    from effcomp.core.batches import Batch


def write_small(
    source: Path, folder: Path, head: str, quant: str = "none", runtime: str = "torch", settings: Sequence[str] = ()
) -> Path:
    """The artifact of a small model, as a run writes it: all number formats begin with one float32 graph."""
    from effcomp.artifact.folder import Compression, write_artifact
    from effcomp.prune.base import NoPrune

    folder.mkdir()
    parts = compose_parts(f"quant={quant}", f"runtime={runtime}", *settings)
    trained, examples = small_model(source, head)
    if parts.runtime.file_format.exports and not parts.quant.rounds:
        trained = trained._replace(exported=small_graph(source, head, parts.runtime.file_format))
    write_artifact(
        trained, Compression(NoPrune(name="none"), parts.quant, parts.runtime.file_format), [], examples, folder
    )
    return folder


@cache
def small_graph(source: Path, head: str, form: "FileFormat") -> Path:
    """Export the float32 graph of a small model, once in a session; return its folder."""
    from effcomp.artifact.folder import export_graph

    folder = Path(tempfile.mkdtemp(prefix=form.name, dir=TEMPORARY.name))
    trained, examples = small_model(source, head)
    export_graph(trained, form, examples, folder)
    return folder


def small_model(source: Path, head: str) -> "tuple[Trained, list[Batch]]":
    """Return the model in a folder with a head, and a batch that it reads."""
    import numpy as np
    import torch

    from effcomp.artifact.folder import Trained
    from effcomp.models.base import load_checkpoint

    torch.manual_seed(0)  # of a head that the model does not have
    model, tokenizer = load_checkpoint(source, head)
    if model.config.pad_token_id is None:
        model.config.pad_token_id = 0
    ids = np.arange(6, 22, dtype=np.int64).reshape(2, 8)
    columns = [
        "attention_mask",
        *(tokenizer.model_input_names if tokenizer and head == "sequence_classification" else []),
    ]
    values = {"token_type_ids": np.zeros_like(ids), "attention_mask": np.ones_like(ids)}
    return Trained(model, tokenizer, head), [
        {"input_ids": ids, **{name: values[name] for name in columns if name in values}}
    ]
