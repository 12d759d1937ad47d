"""openvino_model.xml and .bin, for OpenVINO."""

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from effcomp.artifact.file_format import Format, Source
from effcomp.core.batches import Batch
from effcomp.quant.base import Quant

if TYPE_CHECKING:
    from openvino import Node

GRAPH_FILE, WEIGHTS_FILE = "openvino_model.xml", "openvino_model.bin"
UNPACKING = {"Convert", "Multiply", "Subtract", "Reshape"}
"""What stands between a stored tensor and the operator that uses it."""


class OpenVino(Format):
    name: ClassVar[str] = "openvino"
    packages: ClassVar[tuple[str, ...]] = ("openvino", "nncf")

    def write(self, source: Source, quant: Quant, samples: list[Batch], folder: Path) -> None:
        # The converter and NNCF send word of their use over the network, unless they do not find this package.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        import openvino
        import torch

        from effcomp.artifact.graph import calibration_inputs, example_inputs, graph_of

        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values that the trace keeps: tests call with other shapes
            converted = openvino.convert_model(graph_of(source.model), example_input=example_inputs(source))
        converted = quant.quantise_openvino(converted, calibration_inputs(samples, source.head))
        halves = quant.arithmetic in {"bfloat16", "float16"}
        openvino.save_model(converted, folder / GRAPH_FILE, compress_to_fp16=halves)

    def files(self, folder: Path) -> list[Path]:
        return [folder / GRAPH_FILE, folder / WEIGHTS_FILE]

    def bytes_read(self, folder: Path) -> int:
        import openvino

        model = openvino.Core().read_model(folder / GRAPH_FILE)  # an operator does not outlive its model
        constants = [op for op in model.get_ops() if op.get_type_name() == "Constant"]
        return sum(op.get_byte_size() for op in constants if users(op) != {"Gather"})


def users(node: "Node") -> set[str]:
    """The types of the operators that use what a node holds."""
    found: set[str] = set()
    for output in node.outputs():
        for target in output.get_target_inputs():
            user = target.get_node()
            name = user.get_type_name()
            found |= users(user) if name in UNPACKING else {name}
    return found
