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
    ("outputs", "inputs", "group"),
    [(5, 64, 32), (768, 768, 64), (4100, 2560, 128), (300, 640, 8), (70, 96, 32), (2560, 10240, 64)],
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


@pytest.mark.parametrize("activation", ["gelu_new", "gelu", "relu"])
def test_what_follows_a_product_is_computed_with_it(activation: str) -> None:
    from effcomp.quant.few_tokens_gpu import few_tokens_rows
    from effcomp.quant.fused_linear import ACTIVATIONS
    from effcomp.quant.groups_gpu import few_tokens_groups

    values, residual = (torch.randn(2, size, device="cuda").bfloat16() for size in (64, 300))
    weight, bias = (torch.randn(*shape, device="cuda").bfloat16() for shape in ((300, 64), (300,)))
    expected = ACTIVATIONS[activation](values.double() @ weight.double().T + bias.double()) + residual.double()
    assert error(few_tokens_rows(values, weight, None, bias, activation, residual), expected) < TOLERANCE
    packed, scale = torch.randint(0, 256, (300, 32), dtype=torch.uint8, device="cuda"), torch.rand(300, 2).cuda()
    low, high = (packed & 15).double() - 8, (packed >> 4).double() - 8
    weight = (torch.stack([low, high], dim=-1).flatten(1).unflatten(1, (2, 32)) * scale.double()[..., None]).flatten(1)
    expected = ACTIVATIONS[activation](values.double() @ weight.T + bias.double()) + residual.double()
    pairs = values.unflatten(1, (-1, 4, 2)).transpose(1, 2)
    assert error(few_tokens_groups(pairs, packed, scale, None, bias, activation, residual), expected) < TOLERANCE


@pytest.mark.parametrize(
    ("rows", "heads", "key_heads", "slots", "features"),
    [(1, 12, 12, 64, 64), (2, 9, 3, 300, 48), (1, 20, 5, 999, 128)],
)
def test_attention_to_the_slots_that_are_seen(rows: int, heads: int, key_heads: int, slots: int, features: int) -> None:
    from effcomp.runtimes.one_token_gpu import attend_to_cache

    query = torch.randn(rows, heads, 1, features, device="cuda").bfloat16()
    keys, values = torch.randn(2, rows, key_heads, slots, features, device="cuda").bfloat16().unbind()
    both = torch.randn(rows, key_heads, 2, features, device="cuda").bfloat16()
    new_key, new_value = both[:, :, :1], both[:, :, 1:]  # not contiguous
    seen = torch.rand(rows, 1, 1, slots, device="cuda") > 0.3
    seen[..., slots // 2 :] = False
    slot, arrived = torch.tensor([slots // 3], device="cuda"), torch.zeros(64, dtype=torch.int32, device="cuda")
    seen[..., slots // 3] = True

    def expected() -> torch.Tensor:
        every = (one.double().repeat_interleave(heads // key_heads, dim=1) for one in (keys, values))
        sdpa = torch.nn.functional.scaled_dot_product_attention
        return sdpa(query.double(), *every, attn_mask=seen)[:, :, 0]

    scale = features**-0.5
    assert error(attend_to_cache(query, keys, values, seen, arrived, scale), expected()) < TOLERANCE
    found = attend_to_cache(query, keys, values, seen, arrived, scale, new_key, new_value, slot)
    assert torch.equal(keys[:, :, slots // 3], new_key[:, :, 0])
    assert torch.equal(values[:, :, slots // 3], new_value[:, :, 0])
    assert error(found, expected()) < TOLERANCE
    assert not arrived.any()


@pytest.mark.parametrize(("rows", "classes"), [(1, 50257), (3, 1000), (2, 128256)])
def test_the_likeliest_token_and_its_loss(rows: int, classes: int) -> None:
    from effcomp.runtimes.likeliest_gpu import likeliest_on_gpu
    from effcomp.runtimes.static_cache import likeliest

    logits = torch.randn(rows, classes, device="cuda").bfloat16()
    logits[:, [7, classes - 1]] = 9.0  # the first of equals
    expected = likeliest(logits.cpu())
    expected[0] = 7
    assert torch.allclose(likeliest_on_gpu(logits).cpu(), expected, rtol=1e-5)
