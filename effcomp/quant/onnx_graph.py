"""ONNX graphs to rewrite."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto


def read_graph(file: Path) -> "ModelProto":
    """A graph to rewrite, without the exporter's shapes: these stop a quantiser's own inference of them, and do not fit
    its operators."""
    import onnx

    model = onnx.load(file)
    del model.graph.value_info[:]
    return model
