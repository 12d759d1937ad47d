"""The artifact: the folder that compression writes; measurements load nothing else.

artifact.json     description: head, prune and quant with their settings, counts
config.json       the architecture, as transformers writes it
weights           as the runtime reads them: model.safetensors, model.onnx, or openvino_model.xml and .bin
tokenizer files   so that the folder can be used alone
"""

import json
import shutil
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from effcomp.artifact.agreement import check_agreement, check_padding, reference_answers
from effcomp.artifact.calibration import Stopwatch
from effcomp.artifact.description import ARTIFACT_FILE, SCHEMA, Description, read_description, skeleton
from effcomp.artifact.file_format import FileFormat, Source
from effcomp.artifact.safetensors import Safetensors, weights_file
from effcomp.core.batches import Batch
from effcomp.core.component import Component, from_spec
from effcomp.models.answers import logits_of
from effcomp.models.heads import Head, model_class
from effcomp.models.linear import unify_linear
from effcomp.quant.base import Quant
from effcomp.quant.lowering import TensorLowering, lowering, writer
from effcomp.quant.tensors import count_by_group

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

COLUMNS = ("input_ids", "attention_mask")
"""Inputs of every model."""


class Trained(NamedTuple):
    """Float32 transformers model with a head, and its tokenizer."""

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase | None"
    """None for an architecture that has none (random weights)."""
    head: Head
    exported: Path | None = None
    """Folder with its float32 graph (`export_graph`), for formats that begin with one; None: to be exported."""


class Compression(NamedTuple):
    """Pruning that a model had, the number format that it gets, and the file format of its runtime."""

    prune: Component
    quant: Quant
    form: FileFormat
    device: str = "cpu"
    """Device on which codes are fitted to the samples, as PyTorch names it."""


def write_artifact(
    trained: Trained, compression: Compression, samples: list[Batch], examples: list[Batch], folder: Path
) -> None:
    """Encode the model, and write the artifact folder.

    The logits of a float32 artifact are compared with the model's own; for a graph, those of the float32 graph before
    it is quantized.

    Args:
        samples: `quant.calibration_samples` training examples, each a batch of one.
        examples: batches on which the logits are compared.

    Raises:
        UserError: what was written does not compute what the model computes.
    """
    (model, tokenizer, head, exported), (prune, quant, form, device) = trained, compression
    source = source_of(trained, examples)
    parameters = list(model.parameters())
    description = Description(
        schema=SCHEMA,
        head=head,
        quant=quant.spec(),
        prune=prune.spec(),
        parameters=sum(parameter.numel() for parameter in parameters),
        nonzero_parameters=sum(int(parameter.count_nonzero()) for parameter in parameters),
        parameters_by_kind=count_by_group(model),
    )
    stopwatch = Stopwatch()
    layers = None
    if quant.rounds:
        layers = quant.round_layers(model.to(device), samples)
        model.cpu()
    model.eval()
    if exported is not None:
        for file in form.files(exported):
            shutil.copyfile(file, folder / file.name)
    else:
        form.export(source, folder)
    form.write(source, quant, samples, folder)
    layer_map = None
    if layers is not None:
        layer_map = {name: {form: one.model_dump() for form, one in forms.items()} for name, forms in layers.items()}
    description = replace(description, layer_map=layer_map, calibration=stopwatch.calibration(samples))
    model.config.save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    (folder / ARTIFACT_FILE).write_text(json.dumps(asdict(description), indent=1) + "\n")
    if isinstance(form, Safetensors) and not writer(quant, TensorLowering).applies_to:  # float32
        loaded = load_artifact(folder)
        check_agreement(source.references, lambda batch: logits_of(loaded, batch), "the artifact that was written")


def export_graph(trained: Trained, form: FileFormat, examples: list[Batch], folder: Path) -> None:
    """Write the float32 graph that all number formats of this model begin with.

    Args:
        examples: batches on which its logits are compared with the model's.

    Raises:
        UserError: what was written does not compute what the model computes.
    """
    form.export(source_of(trained, examples), folder)


def source_of(trained: Trained, examples: list[Batch]) -> Source:
    """Prepare a model for writing, in place: in eval mode, with linear layers of one class."""
    model, tokenizer, head, _ = trained
    references = reference_answers(model.eval(), examples)
    check_padding(model, references)
    unify_linear(model)
    columns = COLUMNS
    if tokenizer is not None and head == "sequence_classification":  # some also say which sentence a token is of
        columns = tuple(tokenizer.model_input_names)
    return Source(model, tokenizer, head, columns, references)


def import_libraries(folder: Path) -> None:
    """Import the modules that `load_artifact` needs: the architecture's, and the number format's packages; make what
    its products need."""
    import accelerate  # noqa: F401
    from transformers import AutoConfig

    description = read_description(folder)
    model_class(description.head, AutoConfig.from_pretrained(folder))
    quant = from_spec(description.quant, Quant)
    for package in quant.packages:
        import_module(package)
    quant.start()


def load_artifact(folder: Path, runtime: str = "torch") -> "PreTrainedModel":
    """Return the model that an artifact folder holds, as this runtime executes it: in eval mode, on the CPU.

    Raises:
        ValueError: the folder lacks tensors of the architecture.
    """
    from safetensors.torch import load_file

    quant = from_spec(read_description(folder).quant, Quant)
    lowered = lowering(quant, runtime, TensorLowering)
    model = lowered.decode(quant, skeleton(folder), load_file(weights_file(folder))).eval()
    if empty := [name for name, parameter in model.named_parameters() if parameter.is_meta]:
        raise ValueError(f"{folder} holds no tensors for {empty}")
    return model


def artifact_bytes(folder: Path) -> int:
    """Return the bytes to ship: all files of the folder without the store's manifest."""
    from effcomp.core.store import MANIFEST

    return sum(file.stat().st_size for file in folder.iterdir() if file.name != MANIFEST)
