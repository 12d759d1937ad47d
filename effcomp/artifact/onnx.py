"""model.onnx, for ONNX Runtime."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from effcomp.artifact.agreement import check_agreement, refusing
from effcomp.artifact.file_format import POSITIONS, Format, Source, every_position
from effcomp.core.batches import Batch
from effcomp.models.heads import Head
from effcomp.quant.base import Quant
from effcomp.quant.lowering import OnnxLowering, writer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GRAPH_FILE = "model.onnx"
OPSET = 20
"""First opset that has Gelu as one operator."""
LARGEST_BYTES = 2**31 - 2**24
"""Largest weights in model.onnx itself: a protobuf file holds less than 2 GiB, and larger weights go into a file of
their own."""


class Onnx(Format):
    """ONNX, exported by PyTorch."""

    name: ClassVar[str] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxscript", "onnxruntime")

    def write(self, source: Source, quant: Quant, samples: list[Batch], folder: Path) -> None:
        import torch

        from effcomp.artifact.graph import calibration_inputs, example_inputs, graph_of

        inputs, dynamic = example_inputs(source), torch.export.Dim.DYNAMIC
        shapes = {name: {0: dynamic} if name == POSITIONS else {0: dynamic, 1: dynamic} for name in inputs}
        with torch.no_grad(), refusing("ONNX Runtime", source.model):
            program = torch.onnx.export(
                graph_of(source.model),
                kwargs=inputs,
                input_names=list(inputs),
                output_names=["logits"],
                dynamic_shapes=shapes,
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        assert program is not None, "the exporter returns a program, or raises"
        for node in program.model.graph:
            node.metadata_props.clear()  # the Python lines that a node came from, as large as a small model
        stored = sum(parameter.nbytes for parameter in source.model.parameters())
        program.save(folder / GRAPH_FILE, external_data=stored > LARGEST_BYTES)
        with refusing("ONNX Runtime", source.model):
            check_agreement(source.probes, answers_of(folder / GRAPH_FILE, source.head), "ONNX Runtime")
        calibration = calibration_inputs(samples, source.head, set(inputs))
        writer(quant, OnnxLowering).rewrite(quant, folder / GRAPH_FILE, calibration)

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
        return self.weights_bytes(folder) - sum(tensor.ByteSize() for tensor in tables)


def answers_of(file: Path, head: Head) -> "Callable[[Batch], NDArray[np.float32]]":
    """Return the function from a batch to the logits that ONNX Runtime computes with this graph, of every position."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = {entry.name for entry in session.get_inputs()}

    def answer(batch: Batch) -> "NDArray[np.float32]":
        logits: NDArray[np.float32] = session.run(None, every_position(batch, head, names))[0]
        return logits

    return answer
