"""The scratch quantizer: its error bound, its codes, its refusals; and the int8 layer that runs on them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from torch import nn

from effcomp.quant.base import Quant
from effcomp.quant.dynamic_linear import dynamic_linear
from effcomp.quant.int8 import Int8Scratch
from effcomp.quant.int8_dynamic import Int8Dynamic
from effcomp.quant.int8_linear import Int8Linear, dequantize, quantize
from effcomp.quant.lowering import TensorLowering, lowering, writer

torch.manual_seed(0)
WEIGHT = torch.randn(48, 96) * torch.logspace(-3, 1, 48)[:, None]


@pytest.mark.parametrize("granularity", ["per_tensor", "per_channel"])
def test_the_rounding_error_is_at_most_half_a_step(granularity: str) -> None:
    codes, scale = quantize(WEIGHT, granularity)
    assert codes.dtype == torch.int8
    assert scale.shape == (() if granularity == "per_tensor" else (48, 1))
    assert codes.abs().max() == 127
    error = (dequantize(codes, scale) - WEIGHT).abs()
    assert (error <= scale / 2 * (1 + 1e-5)).all()


def test_a_scale_per_channel_is_closer_than_one_for_all() -> None:
    errors = {g: (dequantize(*quantize(WEIGHT, g)) - WEIGHT).abs()[0].max() for g in ("per_tensor", "per_channel")}
    assert errors["per_channel"] < errors["per_tensor"] / 100, "the first row is 10,000 times smaller than the last"


@pytest.mark.parametrize("granularity", ["per_tensor", "per_channel"])
def test_quantizing_twice_changes_nothing(granularity: str) -> None:
    codes, scale = quantize(WEIGHT, granularity)
    again, _ = quantize(dequantize(codes, scale), granularity)
    assert torch.equal(codes, again)


@pytest.mark.parametrize("value", [0.0, 1e-42, -3.5, 1e30])
def test_constant_tensors_come_back(value: float) -> None:
    weight = torch.full((4, 8), value)
    for granularity in ("per_tensor", "per_channel"):
        restored = dequantize(*quantize(weight, granularity))
        assert torch.allclose(restored, weight, rtol=1e-6, atol=1e-38)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_refused(value: float) -> None:
    weight = torch.ones(4, 4)
    weight[1, 2] = value
    with pytest.raises(ValueError, match="NaN or infinity"):
        quantize(weight, "per_tensor")


FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
"""Zeros of both signs, denormals and 3e38 among them."""
MATRICES = arrays("float32", array_shapes(min_dims=2, max_dims=2, max_side=6), elements=FLOAT32).map(torch.from_numpy)
GRANULARITIES = st.sampled_from(["per_tensor", "per_channel"])


@given(MATRICES, GRANULARITIES)
def test_whatever_is_finite_comes_back_within_half_a_step(weight: torch.Tensor, granularity: str) -> None:
    codes, scale = quantize(weight, granularity)
    restored = dequantize(codes, scale)
    largest = weight.abs().amax() if granularity == "per_tensor" else weight.abs().amax(dim=1, keepdim=True)
    normal = largest / 127 >= torch.finfo(torch.float32).tiny  # what is smaller is zero to any layer
    error = (restored.double() - weight.double()).abs()
    assert restored.isfinite().all()
    assert (codes.abs() <= 127).all()
    assert (error <= torch.where(normal, scale.double() / 2 * (1 + 1e-5), largest.double())).all()
    assert (restored * weight >= 0).all(), "no weight changes its sign"


@given(MATRICES, GRANULARITIES)
def test_what_was_quantized_is_quantized_to_itself(weight: torch.Tensor, granularity: str) -> None:
    restored = dequantize(*quantize(weight, granularity))
    assert torch.allclose(dequantize(*quantize(restored, granularity)), restored, rtol=1e-6, atol=0)


@given(MATRICES, GRANULARITIES, st.sampled_from([float("nan"), float("inf"), -float("inf")]), st.data())
def test_one_weight_that_is_not_finite_is_enough(
    weight: torch.Tensor, granularity: str, value: float, data: st.DataObject
) -> None:
    weight = weight.clone()
    weight.view(-1)[data.draw(st.integers(0, weight.numel() - 1))] = value
    with pytest.raises(ValueError, match="NaN or infinity"):
        quantize(weight, granularity)


@pytest.mark.parametrize("granularity", ["per_tensor", "per_channel"])
def test_the_dynamic_layer_multiplies_the_codes_it_was_given(granularity: str) -> None:
    torch.manual_seed(0)
    codes, scale = quantize(WEIGHT, granularity)
    bias = torch.randn(48)
    x = torch.randn(5, 96)
    weight = dequantize(codes, scale)
    step = (x.max() - x.min()) / 127  # of the activations: seven bits, which no product of theirs overflows
    difference = dynamic_linear(codes, scale, bias)(x) - (x @ weight.T + bias)
    assert (difference.abs() <= 0.51 * step * weight.abs().sum(dim=1)).all(), "an activation is half a step off at most"
    assert difference.abs().max() > 0, "the activations are int8 too"


def encoded(quant: Quant, model: nn.Module) -> dict[str, torch.Tensor]:
    return writer(quant, TensorLowering).encode(quant, model)


def test_scratch_codes_every_matrix_and_dynamic_the_linear_layers() -> None:
    model = nn.Sequential(nn.Embedding(10, 8), nn.Linear(8, 4), nn.LayerNorm(4))
    scratch = encoded(Int8Scratch(name="int8_scratch", granularity="per_channel", activations="float32"), model)
    dynamic = encoded(Int8Dynamic(name="int8_dynamic", granularity="per_channel"), model)
    assert {name for name in scratch if name.endswith(".codes")} == {"0.weight.codes", "1.weight.codes"}
    assert {name for name in dynamic if name.endswith(".codes")} == {"1.weight.codes"}
    assert scratch["2.weight"].dtype == torch.float32


@pytest.mark.parametrize("granularity", ["per_tensor", "per_channel"])
def test_our_own_layer_multiplies_in_integers(granularity: str) -> None:
    """Activations that are codes already (a multiple of 1/127 of their largest) are exact: nothing else is rounded."""
    codes, scale = quantize(WEIGHT, granularity)
    x = torch.randint(-127, 128, (3, 7, 96)).float()
    x[..., 0] = 127
    layer = Int8Linear(codes, scale, torch.randn(48))
    expected = (x.double() @ dequantize(codes, scale).double().T + layer.bias).float()
    assert torch.allclose(layer(x), expected, rtol=1e-5, atol=1e-4 * float(expected.abs().max()))


def test_what_stands_beside_a_token_does_not_change_it() -> None:
    layer = Int8Linear(*quantize(WEIGHT, "per_channel"), None)
    x = torch.randn(4, 96)
    beside = torch.cat([x, 1000 * torch.randn(3, 96)])
    assert torch.equal(layer(beside)[:4], layer(x))


def test_a_token_of_zeros_gives_the_bias() -> None:
    bias = torch.randn(48)
    layer = Int8Linear(*quantize(WEIGHT, "per_channel"), bias)
    assert torch.equal(layer(torch.zeros(1, 96))[0], bias)


def test_int8_activations_keep_the_linear_layers_in_codes() -> None:
    from copy import deepcopy

    model = nn.Sequential(nn.Embedding(10, 8), nn.Linear(8, 4), nn.LayerNorm(4))
    quant = Int8Scratch(name="int8_scratch", granularity="per_channel", activations="int8")
    lowered = lowering(quant, "torch", TensorLowering)
    decoded = lowered.decode(quant, deepcopy(model), encoded(quant, model))
    assert isinstance(decoded[1], Int8Linear)
    assert decoded[1].codes.dtype == torch.int8
    ids = torch.arange(10)
    assert torch.allclose(decoded(ids), model(ids), atol=0.1)
