"""model.onnx, for ONNX Runtime."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from effcomp.artifact.agreement import as_unsupported, check_agreement
from effcomp.artifact.architectures import takes_cache
from effcomp.artifact.file_format import FileFormat, Source, every_position
from effcomp.core.batches import Batch
from effcomp.models.heads import Head
from effcomp.quant.base import Quant
from effcomp.quant.lowering import OnnxLowering, writer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnxruntime import InferenceSession
    from torch import nn
    from transformers import PreTrainedModel

GRAPH_FILE = "model.onnx"
PAST, PRESENT = "past.", "present."
"""Names of a decoder's keys and values begin so: those of earlier calls, and all."""
OPSET = 20
"""First opset that has Gelu as one operator."""
LARGEST_BYTES = 2**31 - 2**24
"""Largest weights in model.onnx itself: a protobuf file holds less than 2 GiB, and larger weights go into a file of
their own."""


class Onnx(FileFormat):
    """ONNX, exported by PyTorch."""

    name: ClassVar[str] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxscript", "onnxruntime")
    exports: ClassVar[bool] = True

    def export(self, source: Source, folder: Path) -> None:
        import torch

        with torch.no_grad(), as_unsupported("ONNX Runtime", source.model):
            cached = source.head == "causal_lm" and takes_cache(source.model.config, self.name)
            exported = cached_export(source.model) if cached else export(source)
            program = torch.onnx.export(
                exported.graph,
                kwargs=exported.inputs,
                input_names=exported.input_names,
                output_names=exported.output_names,
                dynamic_shapes=exported.shapes,
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        assert program is not None, "the exporter returns a program, or raises"
        for node in program.model.graph:
            node.metadata_props.clear()  # the Python lines that a node came from, as large as a small model
        stored = sum(parameter.nbytes for parameter in source.model.parameters())
        program.save(folder / GRAPH_FILE, external_data=stored > LARGEST_BYTES)
        with as_unsupported("ONNX Runtime", source.model):
            check_agreement(source.references, answers_of(folder / GRAPH_FILE, source.head), "ONNX Runtime")

    def write(self, source: Source, quant: Quant, samples: list[Batch], folder: Path) -> None:
        from effcomp.artifact.graph import calibration_inputs

        calibration: list[Batch] = []
        if samples:
            session = session_of(folder / GRAPH_FILE)
            names, empty = {entry.name for entry in session.get_inputs()}, cache_inputs(session)
            calibration = [with_empty_cache(empty, one) for one in calibration_inputs(samples, source.head, names)]
        writer(quant, OnnxLowering).rewrite(quant, folder / GRAPH_FILE, calibration)
        remove_unread(folder)

    def files(self, folder: Path) -> list[Path]:
        return sorted(folder.glob(f"{GRAPH_FILE}*"))

    def bytes_read(self, folder: Path) -> int:
        import onnx

        graph = onnx.load(folder / GRAPH_FILE, load_external_data=False).graph
        consumers: dict[str, set[str]] = {}
        for node in graph.node:
            for name in node.input:
                consumers.setdefault(name, set()).add(node.op_type)
        tables = [tensor for tensor in graph.initializer if consumers.get(tensor.name) == {"Gather"}]
        outside = (int(one.value) for tensor in tables for one in tensor.external_data if one.key == "length")
        return self.weights_bytes(folder) - sum(int(tensor.ByteSize()) for tensor in tables) - sum(outside)


def remove_unread(folder: Path) -> None:
    """Remove the files of weights that the graph has moved into itself."""
    import onnx

    graph = onnx.load(folder / GRAPH_FILE, load_external_data=False).graph
    read = {one.value for tensor in graph.initializer for one in tensor.external_data if one.key == "location"}
    for file in folder.glob(f"{GRAPH_FILE}.*"):
        if file.name not in read:
            file.unlink()


@dataclass(frozen=True)
class Export:
    """Graph to export, with what the exporter asks for."""

    graph: "nn.Module"
    inputs: dict[str, Any]
    input_names: list[str]
    output_names: list[str]
    shapes: dict[str, Any]


def export(source: Source) -> Export:
    """Describe a model that is called once for a text."""
    from torch.export import Dim

    from effcomp.artifact.graph import example_inputs, graph_of

    inputs = example_inputs(source)
    shapes = {name: dict.fromkeys(range(tensor.ndim), Dim.DYNAMIC) for name, tensor in inputs.items()}
    return Export(graph_of(source.model), inputs, list(inputs), ["logits"], shapes)


def cached_export(model: "PreTrainedModel") -> Export:
    """Describe a decoder whose earlier keys and values are inputs, and all of them outputs."""
    from torch.export import Dim

    from effcomp.artifact.cached_graph import INPUTS, cached_graph, example_call, key_shapes

    graph = cached_graph(model)
    sizes = key_shapes(graph)
    inputs = example_call(sizes)
    shapes: dict[str, Any] = {name: dict.fromkeys(range(inputs[name].ndim), Dim.DYNAMIC) for name in INPUTS}
    shapes["past"] = [{0: Dim.DYNAMIC, 2: Dim.DYNAMIC} for _ in sizes]
    past = [f"{PAST}{number}" for number in range(len(sizes))]
    present = [f"{PRESENT}{number}" for number in range(len(sizes))]
    return Export(graph, inputs, [*INPUTS, *past], ["logits", *present], shapes)


def with_empty_cache(empty: Mapping[str, tuple[int, int]], batch: Batch) -> Batch:
    """Add inputs of a cache that holds no token yet.

    Args:
        empty: heads and features of each, by the input's name.
    """
    import numpy as np

    rows = len(batch["input_ids"])
    sizes = {name: (rows, heads, 0, features) for name, (heads, features) in empty.items()}
    return {**batch, **{name: np.zeros(size, dtype=np.float32) for name, size in sizes.items()}}


def cache_inputs(session: "InferenceSession") -> dict[str, tuple[int, int]]:
    """Return heads and features of each input of a decoder's cache, by its name."""
    return {
        entry.name: (entry.shape[1], entry.shape[3]) for entry in session.get_inputs() if entry.name.startswith(PAST)
    }


def session_of(file: Path) -> "InferenceSession":
    """Load a graph on the CPU, without ONNX Runtime's warnings."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def answers_of(file: Path, head: Head) -> "Callable[[Batch], NDArray[np.float32]]":
    """Return the function from a batch to the logits that ONNX Runtime computes with this graph, of every position."""
    session = session_of(file)
    names = {entry.name for entry in session.get_inputs()}

    def answer(batch: Batch) -> "NDArray[np.float32]":
        given = with_empty_cache(cache_inputs(session), every_position(batch, head, names))
        logits: NDArray[np.float32] = session.run(["logits"], given)[0]
        return logits

    return answer
