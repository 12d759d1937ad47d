"""The kernels for a few tokens multiply as PyTorch does, whatever the shape."""

import pytest
import torch

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")]
TOLERANCE = 4e-3
"""Largest difference of an answer in bfloat16, as a share."""


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.double() - expected).norm() / expected.norm())


@pytest.mark.parametrize(("outputs", "inputs"), [(5, 7), (768, 768), (768, 3072), (300, 2560), (5000, 1030)])
@pytest.mark.parametrize("tokens", [1, 3])
def test_floats_and_scaled_codes(outputs: int, inputs: int, tokens: int) -> None:
    from effcomp.quant.few_tokens_gpu import few_tokens_rows

    values = torch.randn(tokens, inputs, device="cuda").bfloat16()
    weight, bias = (torch.randn(*shape, device="cuda").bfloat16() for shape in ((outputs, inputs), (outputs,)))
    expected = values.double() @ weight.double().T
    assert error(few_tokens_rows(values, weight, None, None), expected) < TOLERANCE
    assert error(few_tokens_rows(values, weight, None, bias), expected + bias.double()) < TOLERANCE
    codes = torch.randint(-127, 128, (outputs, inputs), dtype=torch.int8, device="cuda")
    scale = torch.rand(outputs, device="cuda")
    expected = values.double() @ codes.double().T * scale.double()
    assert error(few_tokens_rows(values, codes, scale, None), expected) < TOLERANCE


@pytest.mark.parametrize(
    ("outputs", "inputs", "group"), [(5, 64, 32), (768, 768, 64), (4100, 2560, 128), (300, 640, 8)]
)
@pytest.mark.parametrize(("tokens", "zeros"), [(1, False), (3, False), (1, True)])
def test_four_bits(outputs: int, inputs: int, group: int, tokens: int, zeros: bool) -> None:
    from effcomp.quant.fused_linear import ByGroup
    from effcomp.quant.grouped_tensors import Packed
    from effcomp.quant.packed import pack

    values = torch.randn(tokens, inputs, device="cuda").bfloat16()
    packed = torch.randint(0, 256, (outputs, inputs // 2), dtype=torch.uint8)
    groups = inputs // group
    zero_point = pack(torch.randint(-8, 8, (outputs, groups), dtype=torch.int8), 4) if zeros else None
    stored = Packed(packed, torch.rand(outputs, groups), zero_point, group)
    layer = ByGroup(stored, torch.randn(outputs), inputs).cuda()
    assert layer.bias is not None
    expected = values.double() @ layer.weight().double().T + layer.bias.double()
    assert error(layer(values), expected) < 2 * TOLERANCE  # the weights in bfloat16 have an error of their own


@pytest.mark.parametrize(
    ("rows", "heads", "key_heads", "slots", "features"),
    [(1, 12, 12, 64, 64), (2, 9, 3, 300, 48), (1, 20, 5, 999, 128)],
)
def test_attention_to_the_slots_that_are_seen(rows: int, heads: int, key_heads: int, slots: int, features: int) -> None:
    from effcomp.runtimes.one_token_gpu import attend_to_cache

    query = torch.randn(rows, heads, 1, features, device="cuda").bfloat16()
    keys, values = torch.randn(2, rows, key_heads, slots, features, device="cuda").bfloat16().unbind()
    seen = torch.rand(rows, 1, 1, slots, device="cuda") > 0.3
    seen[..., slots // 2 :] = False
    shared = heads // key_heads
    expected = torch.nn.functional.scaled_dot_product_attention(
        query.double(), *(one.double().repeat_interleave(shared, dim=1) for one in (keys, values)), attn_mask=seen
    )[:, :, 0]
    assert error(attend_to_cache(query, keys, values, seen, features**-0.5), expected) < TOLERANCE
