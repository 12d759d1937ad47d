"""One query attends as PyTorch's own attention does."""

import pytest
import torch
from torch import nn

from effcomp.runtimes.one_token import attention, use_one_token_attention


class Grouped(nn.Module):
    """Attributes of a layer that transformers' own function reads."""

    is_causal = True

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.num_key_value_groups = groups


@pytest.mark.parametrize(("heads", "key_heads"), [(4, 4), (8, 2)])
@pytest.mark.parametrize("queries", [1, 3])
def test_it_is_that_of_pytorch(heads: int, key_heads: int, queries: int) -> None:
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    torch.manual_seed(0)
    query = torch.randn(2, heads, queries, 16)
    key, value = torch.randn(2, key_heads, 7, 16), torch.randn(2, key_heads, 7, 16)
    mask = torch.ones(2, 1, queries, 7, dtype=torch.bool)
    mask[0, ..., :3] = False
    layer = Grouped(heads // key_heads)
    expected, _ = sdpa_attention_forward(layer, query, key, value, mask)
    found, _ = attention(layer, query, key, value, mask)
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-6)


def test_a_decoder_says_the_same_of_one_token() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "hidden_size": 32, "intermediate_size": 64}
    config = LlamaConfig(**sizes, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
    model = LlamaForCausalLM(config).eval()
    assert model.config._attn_implementation == "sdpa"
    ids = torch.randint(0, 50, (3, 9))
    with torch.inference_mode():
        one, many = model(ids[:, :1]).logits, model(ids).logits
        use_one_token_attention(model)
        assert model.config._attn_implementation != "sdpa"
        assert torch.allclose(model(ids[:, :1]).logits, one, atol=1e-6)
        assert torch.allclose(model(ids).logits, many, atol=1e-6)
