"""4-bit codes in groups: their error bound, how they are packed, and the layer that multiplies them."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper, numpy_helper

from effcomp.quant.grid import Grid
from effcomp.quant.groups import quantize_groups
from effcomp.quant.int4 import Int4, rewrite_onnx
from effcomp.quant.int4_linear import Int4Linear
from effcomp.quant.packed import pack, unpack
from tests.conftest import compose_parts
from tests.quant.test_int8 import MATRICES

torch.manual_seed(0)


@pytest.mark.parametrize(("inputs", "group_size"), [(128, 32), (100, 32), (64, 64), (72, 128)])
def test_the_rounding_error_is_at_most_half_a_step_of_the_group(inputs: int, group_size: int) -> None:
    weight = torch.randn(24, inputs) * torch.logspace(-3, 1, 24)[:, None]
    codes, scale, _ = quantize_groups(weight, Grid(group_size, 4))
    assert codes.abs().max() <= 7
    restored = (codes.unflatten(1, (-1, group_size)) * scale[..., None]).flatten(1)
    error = (restored[:, :inputs] - weight).abs()
    step = scale.repeat_interleave(group_size, dim=1)[:, :inputs]
    assert (error <= step / 2 * (1 + 1e-5)).all()
    assert not restored[:, inputs:].any(), "what fills the last group counts nothing"


@given(MATRICES, st.sampled_from([32, 64, 128]))
def test_whatever_is_finite_comes_back_within_half_a_step_of_its_group(weight: torch.Tensor, group_size: int) -> None:
    weight = weight.clamp(-1e38, 1e38)
    codes, scale, _ = quantize_groups(weight, Grid(group_size, 4))
    assert codes.shape == (len(weight), scale.shape[1] * group_size)
    assert (codes.abs() <= 7).all()
    step = scale.repeat_interleave(group_size, dim=1)
    restored = (codes * step)[:, : weight.shape[1]]
    allowed = step[:, : weight.shape[1]].double() / 2 * (1 + 1e-5)
    error = (restored.double() - weight.double()).abs()
    denormal = weight.abs() <= 7 * torch.finfo(torch.float32).tiny
    assert (denormal | (error <= allowed)).all()
    again = quantize_groups(restored, Grid(group_size, 4)).codes
    assert torch.equal(again, codes), "what was quantized is quantized to itself"


@given(st.integers(1, 5), st.integers(1, 9), st.data())
def test_what_is_packed_is_unpacked(rows: int, bytes_in_a_row: int, data: st.DataObject) -> None:
    codes = data.draw(arrays("int8", (rows, 2 * bytes_in_a_row), elements=st.integers(-8, 7)).map(torch.from_numpy))
    assert torch.equal(unpack(pack(codes, 4), codes.shape[1], 4), codes)


def test_two_codes_lie_in_a_byte() -> None:
    codes = torch.randint(-8, 8, (5, 64), dtype=torch.int8)
    assert pack(codes, 4).nbytes == codes.nbytes / 2
    assert torch.equal(unpack(pack(codes, 4), codes.shape[1], 4), codes)


@pytest.mark.parametrize("value", [0.0, -3.5, 1e30])
def test_constant_weights_come_back(value: float) -> None:
    codes, scale, _ = quantize_groups(torch.full((4, 32), value), Grid(32, 4))
    assert torch.allclose(codes * scale, torch.full((4, 32), value), rtol=2**-8), "a scale has the digits of bfloat16"


@pytest.mark.parametrize("bits", [4, 8])
def test_codes_are_the_nearest_to_the_weights_at_the_scale_that_is_stored(bits: int) -> None:
    weight, grid = torch.randn(64, 64), Grid(64, bits)
    codes, scale, _ = quantize_groups(weight, grid)
    assert torch.equal(scale, scale.bfloat16().float())
    assert torch.equal(codes.float(), (weight / scale).round().clamp(grid.lowest, grid.highest))
    assert (codes.abs().amax(1) == grid.highest).all(), "the largest weight has the largest code"


@pytest.mark.parametrize("zero_point", [False, True])
@pytest.mark.parametrize(("outputs", "inputs", "tokens"), [(40, 64, 3), (17, 100, 1), (2, 384, 5)])
def test_the_layer_multiplies_the_codes_whatever_their_shape(
    outputs: int, inputs: int, tokens: int, zero_point: bool
) -> None:
    found = quantize_groups(torch.randn(outputs, inputs) + 0.5, Grid(32, 4, zero_point))
    coded = found._replace(scale=found.scale.bfloat16())
    bias = torch.randn(outputs).bfloat16()
    x = torch.randn(2, tokens, inputs).bfloat16()
    dense = coded._replace(scale=coded.scale.float()).weight(inputs)
    expected = x.float() @ dense.T + bias.float()
    got = Int4Linear(coded, bias, inputs)(x)
    assert got.shape == (2, tokens, outputs)
    assert got.dtype == torch.bfloat16
    assert (got.float() - expected).abs().max() < 0.02 * expected.abs().max()


def test_onnx_runtime_codes_poolers_and_classifiers_too(tmp_path: Path) -> None:
    given, made = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64]) for name in "xy")
    weight = numpy_helper.from_array(np.ones((64, 64), dtype=np.float32), "w")
    bias = numpy_helper.from_array(np.ones(64, dtype=np.float32), "b")
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1)
    graph = helper.make_graph([node], "layer", [given], [made], [weight, bias])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), tmp_path / "model.onnx")
    quant = compose_parts("quant=int4", "runtime=onnxruntime").quant
    assert isinstance(quant, Int4)
    rewrite_onnx(quant, tmp_path / "model.onnx", [])
    assert [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node] == ["MatMulNBits", "Add"]
