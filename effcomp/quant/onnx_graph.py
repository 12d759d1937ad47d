"""ONNX graphs to rewrite."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto


def read_graph(file: Path) -> "ModelProto":
    """Read a graph without the exporter's shapes.

    These stop a quantizer from inferring shapes itself, and do not fit the operators that it puts in. The exporter has
    folded constants and merged operators; the graph says so, or each quantizer would log the advice to do it.
    """
    import onnx
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    model = onnx.load(file)
    del model.graph.value_info[:]
    add_pre_process_metadata(model)
    return model
