"""Decoders as functions that can be traced with a cache: new tokens and earlier keys and values in, logits and all keys
and values out.

Imported where a graph is made: it needs PyTorch.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from effcomp.artifact.architectures import FULL, SLIDING
from effcomp.artifact.file_format import POSITIONS
from effcomp.core.private.transformers import attention_named

INPUTS = ("input_ids", "attention_mask", "position_ids", POSITIONS)
"""Inputs of the graph, before those of the cache."""


class GrowingCache:
    """Cache of a traced call: transformers calls `update` for each layer, in order."""

    def __init__(self, past: list[Tensor]) -> None:
        """Keep the keys and values of each layer in turn, (batch, key heads, tokens, features)."""
        self.past, self.present = past, list[Tensor]()

    def update(self, key: Tensor, value: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append keys and values to those of earlier calls, and return them all."""
        if self.past:
            key = torch.cat([self.past[2 * layer], key], dim=2)
            value = torch.cat([self.past[2 * layer + 1], value], dim=2)
        self.present += [key, value]
        return key, value

    def get_seq_length(self, layer: int = 0) -> int:
        """Return the number of tokens of earlier calls."""
        return self.past[2 * layer].shape[2] if self.past else 0


class CachedGraph(nn.Module):
    """Wrapper of a decoder that returns its logits, and the keys and values of each layer."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, positions: Tensor, past: list[Tensor]
    ) -> tuple[Tensor, ...]:
        """Return logits (batch, positions, vocabulary), then keys and values.

        Args:
            input_ids, position_ids: (batch, new tokens).
            attention_mask: (batch, earlier and new tokens).
            positions: (positions,), among the new tokens.
        """
        cache = GrowingCache(past)
        logits: Tensor = self.model(
            input_ids=input_ids,
            attention_mask=self.masks(attention_mask, input_ids.shape[1]),
            position_ids=position_ids,
            past_key_values=cache,
            logits_to_keep=positions,
        ).logits
        return (logits, *cache.present)

    def masks(self, attention_mask: Tensor, new: int) -> "Tensor | dict[str, Tensor]":
        """Return the mask (batch, 1, new, keys) as the model's attention takes it; by kind, where layers differ."""
        config, keys = self.model.config, attention_mask.shape[1]
        column, row = torch.arange(keys)[None, :], (torch.arange(new) + (keys - new))[:, None]
        visible = attention_mask[:, None, None, :].bool() & (column <= row)
        itself = column == row  # a padded row without any key gives NaN
        kinds, masks = layer_kinds(config), {FULL: visible | itself}
        if SLIDING in kinds:
            masks[SLIDING] = visible & (column > row - config.sliding_window) | itself
        if attention_named(config) == "eager":
            lowest = torch.finfo(torch.float32).min
            masks = {kind: torch.zeros(mask.shape).masked_fill(~mask, lowest) for kind, mask in masks.items()}
        return masks if getattr(config, "layer_types", None) else masks[kinds[0]]


class KeyShape(NamedTuple):
    """Shape of a layer's keys, and of its values."""

    heads: int
    features: int


def key_shapes(graph: CachedGraph) -> list[KeyShape]:
    """Return the shapes of keys and values of each layer in turn; heads differ where they were pruned."""
    ids = torch.ones((2, 4), dtype=torch.int64)
    with torch.no_grad():
        present = graph(ids, ids, ids, torch.arange(4), [])[1:]
    return [KeyShape(one.shape[1], one.shape[3]) for one in present]


def example_call(shapes: list[KeyShape]) -> dict[str, Any]:
    """Return the arguments of a call to trace with: four new tokens after three. Each is a tensor of its own, since an
    exporter takes one tensor that stands twice for one input."""
    return {
        "input_ids": torch.ones((2, 4), dtype=torch.int64),
        "attention_mask": torch.ones((2, 7), dtype=torch.int64),
        "position_ids": torch.arange(3, 7).repeat(2, 1),
        POSITIONS: torch.arange(4),
        "past": [torch.zeros(2, heads, 3, features) for heads, features in shapes],
    }


def layer_kinds(config: PretrainedConfig) -> list[str]:
    """Return how each layer attends. GPT-Neo's layers mask their windows themselves."""
    if kinds := getattr(config, "layer_types", None):
        return list(kinds)
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    return [FULL if window is None else SLIDING] * config.num_hidden_layers


def cached_graph(model: PreTrainedModel) -> CachedGraph:
    """Wrap a decoder in eval mode, one that takes a cache (effcomp.artifact.architectures)."""
    model.config.use_cache = False
    return CachedGraph(model).eval()
