"""Attention of a single query for a compiler: two small sums replace a kernel made for many queries."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from effcomp.core.private.transformers import attention_named, replace_gptneo_attention

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn
    from transformers import PreTrainedModel

NAME = "effcomp_one_token"


@dataclass
class Slots:
    """Keys or values of one layer's cache, as `attention` takes them for one token of each row."""

    stored: "Tensor"
    """(rows, key heads, slots, features)."""
    new: "Tensor | None"
    """(rows, key heads, 1, features) of the token that is read now, for `attention` to store; None: it is stored."""
    slot: "Tensor"
    """(1,) int64, where `new` belongs."""
    arrived: "Tensor"
    """(rows * heads,) int32 zeros, which a kernel counts in."""

    def filled(self) -> "Tensor":
        """Return the keys or values with those of the new token."""
        return self.stored if self.new is None else self.stored.index_copy_(2, self.slot, self.new)


def reads_slots(model: "PreTrainedModel") -> bool:
    """Tell whether the attention of a model takes Slots."""
    return attention_named(model.config) == NAME or model.config.model_type == "gpt_neo"


def use_one_token_attention(model: "nn.Module") -> None:
    """Replace PyTorch's scaled_dot_product_attention by `attention` in a transformers model that uses it."""
    from transformers import AttentionInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface

    if attention_named(model.config) == "sdpa":
        AttentionInterface.register(NAME, attention)
        AttentionMaskInterface.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
        model.set_attn_implementation(NAME)  # type: ignore[operator]
    for layer in model.modules():
        if type(layer).__name__ == "GPTNeoSelfAttention":
            replace_gptneo_attention(layer, lambda many: partial(gptneo_attention, many))


def gptneo_attention(
    many: "Callable[..., Any]",
    query: "Tensor",
    key: "Tensor | Slots",
    value: "Tensor | Slots",
    attention_mask: "Tensor | None" = None,
) -> "tuple[Tensor, Tensor | None]":
    """Attend as GPTNeoSelfAttention._attn, which is `many`: unscaled. Whatever a window leaves out is not among keys of
    a single query, or masked."""
    if query.shape[2] != 1 or attention_mask is None:
        found: tuple[Tensor, Tensor] = many(query, key, value, attention_mask)
        return found
    return attention(None, query, key, value, attention_mask, scaling=1.0)[0].transpose(1, 2), None


def attention(  # noqa: PLR0913  # transformers' own signature
    module: "nn.Module | None",
    query: "Tensor",
    key: "Tensor | Slots",
    value: "Tensor | Slots",
    attention_mask: "Tensor | None",
    dropout: float = 0.0,
    scaling: float | None = None,
    **more: Any,
) -> "tuple[Tensor, None]":
    """Return softmax(query key^T * scaling) value, as transformers calls it.

    Args:
        query: (batch, heads, queries, features); key and value: (batch, key heads, keys, features), where
            neighbouring heads share a key head, or Slots for a single query.
        attention_mask: (batch, 1, queries, keys) bool, False where a query does not look.

    Returns:
        (batch, queries, heads, features).
    """
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if query.shape[2] != 1:
        found: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **more
        )
        return found
    if isinstance(key, Slots) and isinstance(value, Slots):
        if query.is_cuda:
            return to_cache(query, key, value, attention_mask, scaling)[:, None], None
        key, value = key.filled(), value.filled()
    assert isinstance(key, torch.Tensor)
    assert isinstance(value, torch.Tensor)
    grouped = query.unflatten(1, (key.shape[1], -1))  # (batch, key heads, heads of each, 1, features)
    scores = (grouped.float() * key[:, :, None].float()).sum(dim=-1)
    scores = scores * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask[:, :, None, 0], torch.finfo(torch.float32).min)
    shares = scores.softmax(dim=-1)
    output = (shares[..., None] * value[:, :, None].float()).sum(dim=-2).to(query.dtype)
    return output.flatten(1, 2)[:, None], None


def to_cache(
    query: "Tensor", key: Slots, value: Slots, attention_mask: "Tensor | None", scaling: float | None
) -> "Tensor":
    """Attend to a cache on a GPU; return (batch, heads, features)."""
    from effcomp.runtimes.one_token_gpu import attend_to_cache

    assert attention_mask is not None, "a cache of fixed size has slots without a token"
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    new = (None, None, None) if key.new is None else (key.new, value.new, key.slot)
    found: Tensor = attend_to_cache(query, key.stored, value.stored, attention_mask, key.arrived, scale, *new)
    return found
