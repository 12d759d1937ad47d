"""Ternary codes: BitNet's own, packed four to a byte, exact where the weights are ternary already."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from safetensors.torch import load_file, save_file

from effcomp.artifact.folder import load_artifact
from effcomp.artifact.safetensors import weights_file
from effcomp.models.bitnet import ternary
from effcomp.quant.int8_linear import Int8Embedding
from effcomp.quant.ternary_codes import pack_by_lines, pack_by_planes, quantize_ternary, unpack_lines
from tests.quant.test_int8 import MATRICES
from tests.small_artifacts import write_small

torch.manual_seed(0)


def test_the_codes_are_those_that_bitnet_trains_with() -> None:
    weight = torch.randn(32, 48)
    codes, scale = quantize_ternary(weight)
    assert set(codes.unique().tolist()) == {-1, 0, 1}
    assert torch.allclose(codes * scale, ternary(weight))


@pytest.mark.parametrize("sparsity", [0.1, 0.9])
def test_a_ternary_weight_comes_back_exactly(sparsity: float) -> None:
    signs = torch.where(torch.rand(16, 40) < sparsity, 0, torch.randint(0, 2, (16, 40)) * 2 - 1)
    codes, scale = quantize_ternary(signs * 0.37)
    assert torch.equal(codes * scale, signs * 0.37)


@given(MATRICES)
def test_what_was_made_ternary_stays_as_it_is_whatever_it_was(weight: torch.Tensor) -> None:
    codes, scale = quantize_ternary(weight)
    assert set(codes.unique().tolist()) <= {-1, 0, 1}
    assert scale.isfinite()
    assert scale > 0
    assert torch.equal(unpack_lines(pack_by_lines(codes), weight.shape[1]), codes)
    again, same = quantize_ternary(codes * scale)
    assert torch.equal(again, codes)
    assert same == scale or not codes.any()


def test_zeros_stay_zeros() -> None:
    codes, scale = quantize_ternary(torch.zeros(4, 8))
    assert not codes.any()
    assert scale == 1


@pytest.mark.parametrize("inputs", [1, 64, 255, 256, 300])
def test_a_line_of_64_bytes_holds_256_codes(inputs: int) -> None:
    codes = torch.randint(-1, 2, (5, inputs), dtype=torch.int8)
    packed = pack_by_lines(codes)
    assert packed.shape == (5, -(-inputs // 256) * 64)
    assert torch.equal(unpack_lines(packed, inputs), codes)
    assert packed[0, 0] & 3 == codes[0, 0] + 1


def test_neighbouring_codes_of_an_older_artifact_are_read(tiny_gpt2: Path, tmp_path: Path) -> None:
    folder = write_small(tiny_gpt2, tmp_path / "artifact", "causal_lm", "ternary")
    tensors, ids = load_file(weights_file(folder)), torch.arange(24).reshape(2, 12)
    with torch.inference_mode():
        expected = load_artifact(folder)(ids).logits
    for name in [name for name in tensors if name.endswith(".lines")]:
        inputs = 256 if name.endswith("mlp.c_proj.lines") else 64
        codes = unpack_lines(tensors.pop(name), inputs).unflatten(1, (-1, 4)) + 1
        tensors[name.replace(".lines", ".codes")] = (codes << torch.tensor([0, 2, 4, 6])).sum(-1).to(torch.uint8)
    save_file(tensors, weights_file(folder))
    with torch.inference_mode():
        assert torch.equal(load_artifact(folder)(ids).logits, expected)


def test_a_byte_of_planes_holds_one_code_of_each_quarter_of_its_row() -> None:
    codes = torch.randint(-1, 2, (3, 8), dtype=torch.int8)
    stored = pack_by_planes(codes)
    assert stored.shape == (3, 2)
    for plane in range(4):
        highest = ((stored << (2 * plane)) & 0xC0).view(torch.int8)
        assert torch.equal(highest, 64 * codes[:, 2 * plane : 2 * plane + 2])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")
@pytest.mark.parametrize("tokens", [1, 4, 5, 17, 64, 300])
@pytest.mark.parametrize(("outputs", "inputs"), [(8, 24), (640, 2560), (5000, 6912)])
def test_the_gpus_product_is_exact(tokens: int, outputs: int, inputs: int) -> None:
    from effcomp.quant.int8_linear import LARGEST_CODE
    from effcomp.quant.ternary_gpu import PackedTernaryLinear

    codes = torch.randint(-1, 2, (outputs, inputs), dtype=torch.int8)
    scale, bias = torch.rand(outputs), torch.randn(outputs)
    layer = PackedTernaryLinear(codes, scale, bias).cuda()
    values = torch.randint(-LARGEST_CODE, LARGEST_CODE + 1, (tokens, inputs)).double()
    values[:, 0] = LARGEST_CODE  # the scale of each token is then 1
    expected = (values @ codes.double().T) * scale
    found = layer(values.float().cuda()).double().cpu()
    assert ((found - expected - bias).abs() <= 0.01 * (expected.abs() + bias.abs())).all()  # bfloat16, twice rounded


@pytest.mark.parametrize("source", ["tiny_gpt2", "tiny_bitnet"])
def test_embeddings_in_int8_and_a_head_that_is_tied_to_them(
    source: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder, ids = request.getfixturevalue(source), torch.arange(24).reshape(2, 12)
    floats = load_artifact(write_small(folder, tmp_path / "floats", "causal_lm", "ternary"))
    coded = load_artifact(
        write_small(folder, tmp_path / "coded", "causal_lm", "ternary", settings=["quant.embeddings=int8"])
    )
    table, before = coded.get_input_embeddings(), floats.get_input_embeddings().weight
    assert isinstance(table, Int8Embedding)
    assert ((table.weight - before).abs() <= table.scale / 2 * 1.001).all()
    assert type(coded.lm_head) is not torch.nn.Linear
    with torch.inference_mode():
        expected, found = floats(ids).logits, coded(ids).logits
    assert (found - expected).abs().max() < 0.05 * (expected.max() - expected.min())
