"""Products that the machine compiles: on every instruction set that it has, the numbers of PyTorch's own product."""

import logging
from pathlib import Path

import pytest
import torch

from effcomp.core.machine import cpu_info
from effcomp.quant import integer_products as module
from effcomp.quant.int8_linear import Int8Linear
from effcomp.quant.integer_products import (
    INSTRUCTIONS,
    IntegerLinear,
    int8_linear,
    integer_products,
    leave_the_processor,
    ternary_linear,
)
from effcomp.quant.ternary_codes import pack_by_lines

HERE = [name for name in INSTRUCTIONS if name in cpu_info()[1]]
SHAPES = [(1, 1, 1), (3, 2, 63), (4, 5, 64), (5, 8, 256), (9, 7, 300), (130, 6, 520)]
"""Tokens, outputs, inputs: beside and on the sizes of tiles, lines and chunks."""


@pytest.fixture
def compiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    library = integer_products(request.param)
    assert library is not None
    monkeypatch.setattr(module, "integer_products", lambda: library)
    monkeypatch.setattr(module, "has_vector_code", lambda operator: False)


def made(codes: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None = None) -> torch.nn.Module:
    return ternary_linear(pack_by_lines(codes), scale, bias, codes.shape[1])


@pytest.mark.parametrize("compiled", [*HERE, "plain"], indirect=True)
@pytest.mark.parametrize("ternary", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.usefixtures("compiled")
def test_the_outputs_are_those_of_pytorch_bit_for_bit(shape: tuple[int, int, int], ternary: bool) -> None:
    tokens, outputs, inputs = shape
    torch.manual_seed(0)
    largest = 1 if ternary else 127
    codes = torch.randint(-largest, largest + 1, (outputs, inputs), dtype=torch.int8)
    codes[0] = largest  # the largest sums
    scale, bias = torch.rand(outputs, 1) + 0.5, torch.randn(outputs)
    values = torch.randn(tokens, inputs)
    values[0] = values[0].abs().amax()
    values[-1] = 0
    layer = made(codes, scale, bias) if ternary else int8_linear(codes, scale, bias)
    assert isinstance(layer, IntegerLinear)
    assert torch.equal(layer(values), Int8Linear(codes, scale, bias)(values))


@pytest.mark.parametrize("compiled", HERE[:1] or ["plain"], indirect=True)
@pytest.mark.usefixtures("compiled")
def test_one_scale_no_bias_other_types_and_shapes() -> None:
    codes = torch.randint(-1, 2, (8, 96), dtype=torch.int8)
    layer, scale = made(codes, torch.tensor(0.5)), torch.tensor(0.5)
    values = torch.randn(2, 3, 96).bfloat16()
    assert layer(values).shape == (2, 3, 8)
    assert layer(values).dtype == torch.bfloat16
    assert torch.equal(layer(values), Int8Linear(codes, scale, None)(values.float()).bfloat16())
    turned = torch.randn(96, 5).t()  # not contiguous
    assert torch.equal(layer(turned), Int8Linear(codes, scale, None)(turned))


@pytest.mark.parametrize("compiled", HERE[:1] or ["plain"], indirect=True)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.usefixtures("compiled")
def test_a_token_that_is_not_finite_has_no_numbers_and_harms_no_other(value: float) -> None:
    codes = torch.ones(4, 64, dtype=torch.int8)
    values = torch.ones(3, 64)
    values[1, 5] = value
    output = int8_linear(codes, torch.tensor(1.0), None)(values)
    assert output[1].isnan().all()
    assert torch.equal(output[::2], torch.full((2, 4), 64.0))


@pytest.mark.parametrize("compiled", HERE[:1] or ["plain"], indirect=True)
@pytest.mark.usefixtures("compiled")
def test_a_model_that_goes_to_another_device_leaves_the_compiled_layers_here() -> None:
    codes, scale = torch.randint(-1, 2, (8, 96), dtype=torch.int8), torch.tensor(0.5)
    model = torch.nn.Sequential(made(codes, scale))
    values = torch.randn(3, 96)
    before = model(values)
    leave_the_processor(model)
    assert type(model[0]) is Int8Linear
    assert torch.equal(model(values), before)


@pytest.mark.parametrize(
    ("compiler", "words"), [("/no/compiler", "there is no C compiler"), ("false", "take PyTorch's slower way: ")]
)
def test_without_a_compiler_the_log_says_that_the_slower_way_is_taken(
    compiler: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CC", compiler)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(module, "integer_products", integer_products.__wrapped__)
    with caplog.at_level(logging.WARNING):
        layer = made(torch.ones(2, 8, dtype=torch.int8), torch.tensor(1.0))
    assert type(layer) is Int8Linear
    assert words in caplog.text
