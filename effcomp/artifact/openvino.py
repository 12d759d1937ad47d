"""openvino_model.xml and .bin, for OpenVINO."""

import contextlib
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from effcomp.artifact.agreement import as_unsupported, check_agreement
from effcomp.artifact.architectures import takes_cache
from effcomp.artifact.file_format import FileFormat, Source, every_position
from effcomp.core.batches import Batch
from effcomp.models.heads import Head
from effcomp.quant.base import Quant
from effcomp.quant.lowering import OpenVinoLowering, writer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from openvino import Model, Node

GRAPH_FILE, WEIGHTS_FILE = "openvino_model.xml", "openvino_model.bin"
UNPACKING = {"Convert", "Multiply", "Subtract", "Reshape"}
"""Operators between a stored tensor and the operator that uses it."""


class OpenVino(FileFormat):
    """OpenVINO's intermediate representation, traced by PyTorch."""

    name: ClassVar[str] = "openvino"
    packages: ClassVar[tuple[str, ...]] = ("openvino", "nncf")
    exports: ClassVar[bool] = True

    def export(self, source: Source, folder: Path) -> None:
        # The converter and NNCF report their use over the network, unless this package is missing.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        import openvino
        import torch

        from effcomp.artifact.graph import example_inputs, graph_of
        from effcomp.artifact.stateful import stateful_model

        with torch.no_grad(), warnings.catch_warnings(), kept_log_level(), as_unsupported("OpenVINO", source.model):
            warnings.simplefilter("ignore")  # of values that the trace makes constant: tests call with other shapes
            if source.head == "causal_lm" and takes_cache(source.model.config, self.name):
                converted = stateful_model(source.model)
            else:
                converted = openvino.convert_model(graph_of(source.model), example_input=example_inputs(source))
            check_agreement(source.references, answers_of(converted, source.head), "OpenVINO")
        openvino.save_model(converted, folder / GRAPH_FILE, compress_to_fp16=False)

    def write(self, source: Source, quant: Quant, samples: list[Batch], folder: Path) -> None:
        import openvino

        from effcomp.artifact.graph import calibration_inputs

        lowered, scratch = writer(quant, OpenVinoLowering), folder / "rewritten"
        with kept_log_level():
            exported = openvino.Core().read_model(folder / GRAPH_FILE)
            names = {name for entry in exported.inputs for name in entry.names}
            rewritten = lowered.rewrite(quant, exported, calibration_inputs(samples, source.head, names))
            halves = lowered.compute_dtype in {"bfloat16", "float16"}
            openvino.save_model(rewritten, scratch / GRAPH_FILE, compress_to_fp16=halves)
        for name in (GRAPH_FILE, WEIGHTS_FILE):  # the graph that was read keeps its own file mapped
            (scratch / name).replace(folder / name)
        scratch.rmdir()

    def files(self, folder: Path) -> list[Path]:
        return [folder / GRAPH_FILE, folder / WEIGHTS_FILE]

    def bytes_read(self, folder: Path) -> int:
        import openvino

        model = openvino.Core().read_model(folder / GRAPH_FILE)  # an operator does not outlive its model
        constants = [op for op in model.get_ops() if op.get_type_name() == "Constant"]
        return sum(op.get_byte_size() for op in constants if users(op) != {"Gather"})


@contextlib.contextmanager
def kept_log_level() -> Iterator[None]:
    """Restore the root logger's level: the converter raises it to ERROR, and leaves it there when it fails."""
    root = logging.getLogger()
    level = root.level
    try:
        yield
    finally:
        root.setLevel(level)


def users(node: "Node") -> set[str]:
    """Return the types of the operators that use a node's output."""
    found: set[str] = set()
    for output in node.outputs():
        for target in output.get_target_inputs():
            user = target.get_node()
            name = user.get_type_name()
            found |= users(user) if name in UNPACKING else {name}
    return found


def answers_of(model: "Model", head: Head) -> "Callable[[Batch], NDArray[np.float32]]":
    """Return the function from a batch to the logits that OpenVINO computes in float32, of every position."""
    import openvino

    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    names = {name for entry in compiled.inputs for name in entry.names}
    request = compiled.create_infer_request()

    def answer(batch: Batch) -> "NDArray[np.float32]":
        request.reset_state()
        logits: NDArray[np.float32] = request.infer(every_position(batch, head, names))[0]
        return logits.copy()

    return answer
