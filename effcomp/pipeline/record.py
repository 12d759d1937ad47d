"""Rows of the Record that describe artifacts, training and data; measure/ returns the measured ones."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from effcomp.artifact.description import read_description
from effcomp.artifact.file_format import FileFormat
from effcomp.artifact.folder import artifact_bytes
from effcomp.core import machine
from effcomp.pipeline.training import TIMING_FILE
from effcomp.quant.tensors import ParameterGroup
from effcomp.record import Calibration, Data, ReadFile, Size, Software, Training, Vocabulary
from effcomp.tasks.base import Examples, Splits

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def size_row(baseline: Path, variant: Path, file_format: FileFormat, quantized: Sequence[ParameterGroup]) -> Size:
    """Return bytes and parameters of an artifact.

    Args:
        baseline: the artifact folder of the float32 baseline.
        variant: the artifact folder.
        file_format: the file format of the variant.
        quantized: parameters that the number format applies to.
    """
    description, weights_bytes = read_description(variant), file_format.weights_bytes(variant)
    parameters, layers = description.parameters, description.layer_map
    chosen = {name: form for name, forms in (layers or {}).items() for form, one in forms.items() if one["chosen"]}
    return Size(
        artifact_bytes=artifact_bytes(variant),
        weights_bytes=weights_bytes,
        baseline_artifact_bytes=artifact_bytes(baseline),
        parameters=parameters,
        baseline_parameters=read_description(baseline).parameters,
        nonzero_parameters=description.nonzero_parameters,
        nonzero_share=description.nonzero_parameters / parameters,
        bits_per_parameter=8 * weights_bytes / parameters,
        quantized_layers=list(quantized),
        quantized_share=sum(description.parameters_by_kind[group] for group in quantized) / parameters,
        layer_formats=chosen or None,
        layer_map=layers,
    )


def training_row(trained: Path, recovered: Path | None) -> Training:
    """Return the time and memory of training when it was computed.

    Args:
        trained: the folder of the fine-tuned checkpoint.
        recovered: the folder of the pruned checkpoint, where pruning was followed by training.
    """
    timing = json.loads((trained / TIMING_FILE).read_text())
    recovery = json.loads((recovered / TIMING_FILE).read_text()) if recovered is not None else None
    return Training(
        finetune_s=timing["seconds"],
        finetune_peak_gpu_bytes=timing.get("peak_gpu_bytes"),
        recovery_s=recovery["seconds"] if recovery is not None else None,
    )


def calibration_row(variant: Path) -> Calibration | None:
    """Return the cost of fitting the number format of this artifact folder; None where it was not fitted."""
    found = read_description(variant).calibration
    if found is None:
        return None
    return Calibration(
        calibration_s=found.seconds,
        peak_rss_bytes=found.peak_rss_bytes,
        samples=found.samples,
        fingerprint=found.fingerprint,
    )


def data_row(splits: Splits, train_examples: int, *, synthetic: bool, vocabulary: Vocabulary | None) -> Data:
    """Return the row of the examples that were trained and tested on.

    Args:
        train_examples: number of examples of the training split that were used.
        synthetic: True where the timed calls read random token ids.
        vocabulary: the tokens that pruning left; None for the model's own.
    """
    return Data(
        fingerprint=splits.fingerprint(),
        train_examples=train_examples,
        test_examples=len(splits.test),
        tokens="synthetic" if synthetic else "the task's texts",
        files=[ReadFile(file=file.name, read=read, used=used) for file, read, used in splits.rows],
        vocabulary=vocabulary,
    )


def vocabulary_row(test: Examples, before: "PreTrainedTokenizerBase", after: "PreTrainedTokenizerBase") -> Vocabulary:
    """Return the row of a vocabulary that has lost tokens.

    Args:
        test: the test examples.
        before: the model's own tokenizer.
        after: the tokenizer with fewer tokens.
    """
    gone = np.ones(len(before), dtype=bool)
    gone[before.convert_tokens_to_ids(list(after.get_vocab()))] = False
    sequences = [
        before(list(column), add_special_tokens=False, verbose=False)["input_ids"]
        for column in (test.texts, test.pairs)
        if column
    ]
    tokens = [np.concatenate(columns).astype(np.int64) for columns in zip(*sequences, strict=True)]
    respelled = [gone[ids] for ids in tokens]
    return Vocabulary(
        tokens=len(after),
        baseline_tokens=len(before),
        respelled_tokens_share=float(np.concatenate(respelled).mean()),
        respelled_texts_share=float(np.mean([ids.any() for ids in respelled])),
    )


def software_row(packages: Sequence[str]) -> Software:
    """Return the versions of the code that runs.

    Args:
        packages: libraries of the choices, by import name.
    """
    return Software(libraries=machine.library_versions(*packages), git_commit=machine.git_commit())
