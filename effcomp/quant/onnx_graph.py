"""ONNX graphs to rewrite."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto


def read_graph(file: Path) -> "ModelProto":
    """Read a graph without the exporter's shapes.

    These stop a quantizer from inferring shapes itself, and do not fit the operators that it puts in.
    """
    import onnx

    model = onnx.load(file)
    del model.graph.value_info[:]
    return model
