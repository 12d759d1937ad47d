"""int8 of each engine: its codes are those that training rounded to, or the engine is refused."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from effcomp.core.errors import Skipped
from effcomp.quant.grid import Granularity
from effcomp.quant.int8_dynamic import Int8Dynamic, rewrite_onnx
from effcomp.quant.int8_linear import dequantize, quantize
from effcomp.quant.lowering import Lowering, lowering


def product(weight: torch.Tensor) -> onnx.ModelProto:
    """A graph that multiplies by a weight (out, in)."""
    outputs, inputs = weight.shape
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, inputs])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, outputs])
    matrix = numpy_helper.from_array(weight.T.contiguous().numpy(), "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "product", [given], [made], [matrix])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


@pytest.mark.parametrize("granularity", ["per_tensor", "per_channel"])
def test_onnx_runtime_finds_the_codes_that_were_trained(granularity: Granularity, tmp_path: Path) -> None:
    codes, scale = quantize(torch.randn(32, 48, generator=torch.Generator().manual_seed(0)), granularity)
    onnx.save(product(dequantize(codes, scale)), tmp_path / "model.onnx")
    rewrite_onnx(Int8Dynamic(name="int8_dynamic", granularity=granularity), tmp_path / "model.onnx", [])
    stored = {one.name: numpy_helper.to_array(one) for one in onnx.load(tmp_path / "model.onnx").graph.initializer}
    assert np.array_equal(stored["w_quantized"].T, codes.numpy())
    assert not stored["w_zero_point"].any()


def test_openvino_has_no_scale_of_a_whole_matrix() -> None:
    with pytest.raises(Skipped, match="does not run on runtime=openvino; it runs on: torch, compile, onnxruntime"):
        lowering(Int8Dynamic(name="int8_dynamic", granularity="per_tensor"), "openvino", Lowering)
