"""A decoder with a cache of fixed size: each step has the same shapes, so it is compiled and recorded once.

transformers has a StaticCache of its own. Its layers are told apart by a number in each attention, so a compiler
translates every layer anew; and GPT-Neo's local layers read its last slots in place of the last tokens. Here each block
receives the cache of its own layer.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from effcomp.artifact.architectures import SLIDING
from effcomp.artifact.cached_graph import layer_kinds
from effcomp.core.private.transformers import attention_named
from effcomp.runtimes.one_token import Slots, reads_slots

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class LayerCache:
    """Keys and values of one layer, by slot; transformers calls `update`."""

    def __init__(self, keys: Tensor, slot: Tensor, window: int | None, arrived: Tensor | None) -> None:
        """Hold the slots of a layer.

        Args:
            keys: (rows, key heads, slots, features), zeros.
            slot: (1,) int64, the slot of the token that is read now.
            window: how many of the last tokens the layer attends to; None: all.
            arrived: of Slots, where the model's attention takes these; None: it takes tensors.
        """
        self.keys, self.values, self.slot, self.window = keys, torch.zeros_like(keys), slot, window
        self.arrived = arrived

    def update(self, key: Tensor, value: Tensor, *_: Any, **__: Any) -> tuple[Tensor | Slots, Tensor | Slots]:
        """Store keys and values, or leave that to the attention; return those that the queries attend to.

        Args:
            key, value: (rows, key heads, tokens, features): one token at `slot`, or a whole prompt from slot 0 on.
        """
        tokens = key.shape[2]
        if tokens > 1:
            self.keys[:, :, :tokens] = key
            self.values[:, :, :tokens] = value
            return key, value
        if self.window is None and self.arrived is not None:
            return (
                Slots(self.keys, key, self.slot, self.arrived),
                Slots(self.values, value, self.slot, self.arrived),
            )
        self.keys.index_copy_(2, self.slot, key)
        self.values.index_copy_(2, self.slot, value)
        if self.window is None:
            return self.keys, self.values
        recent = window_slots(self.slot, self.window).clamp(min=0)
        keys, values = self.keys.index_select(2, recent), self.values.index_select(2, recent)
        if self.arrived is None:
            return keys, values
        return Slots(keys, None, self.slot, self.arrived), Slots(values, None, self.slot, self.arrived)


@dataclass
class StaticCache:
    """The caches of all layers; every row writes to the same slot."""

    layers: list[LayerCache]
    slot: Tensor
    """(1,) int64."""
    seen: Tensor
    """(rows, 1, 1, slots) bool: the slots that hold a token."""
    mask: Tensor = field(init=False)
    """The mask of the call, as the model's attention takes it."""
    window_mask: Tensor = field(init=False)
    """The mask of layers with a window."""


def window_slots(slot: Tensor, window: int) -> Tensor:
    """Return the slots of the window that ends with `slot`, (window,) int64; those before slot 0 are negative."""
    return slot + torch.arange(1 - window, 1, device=slot.device)


class CachedBlock(nn.Module):
    """A transformer block that receives its own layer's cache. Its number stays outside the block, so a compiler
    translates the block once for all layers."""

    def __init__(self, block: nn.Module, index: int) -> None:
        super().__init__()
        self.block, self.index = block, index
        for module in block.modules():
            for name in ("layer_idx", "layer_id"):
                if hasattr(module, name):
                    setattr(module, name, 0)

    def forward(self, *values: Any, **named: Any) -> Any:
        """Call the block as its model does."""
        cache = next((one for one in (*values, *named.values()) if isinstance(one, StaticCache)), None)
        if cache is None:
            return self.block(*values, **named)
        layer = cache.layers[self.index]

        def own(value: Any) -> Any:
            if value is cache:
                return layer
            return cache.window_mask if value is cache.mask and layer.window is not None else value

        return self.block(*map(own, values), **{name: own(value) for name, value in named.items()})


def use_cached_blocks(model: nn.Module) -> list[nn.Module]:
    """Put every transformer block into a CachedBlock, in place; return the blocks."""
    blocks = []
    for module in list(model.modules()):
        if isinstance(module, nn.ModuleList):
            for index, block in enumerate(module):
                module[index] = CachedBlock(block, index)
                blocks.append(block)
    return blocks


class ShapeProbe(LayerCache):
    """A stand-in for a layer's cache that notes the keys of a prompt."""

    def __init__(self) -> None:
        self.window = None

    def update(self, key: Tensor, value: Tensor, *_: Any, **__: Any) -> tuple[Tensor | Slots, Tensor | Slots]:
        """Note the keys."""
        self.keys = key
        return key, value


class StaticDecoder:
    """A decoder with a cache of fixed size, its inputs in place: `prefill`, then `step` again and again."""

    def __init__(
        self,
        model: "PreTrainedModel",
        probes: list[ShapeProbe],
        rows: int,
        slots: int,
        choose: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Allocate the cache.

        Args:
            model: prepared by `use_cached_blocks`.
            probes: of each layer, from `probe_shapes`.
            slots: of prompt and new tokens together.
            choose: `likeliest`, compiled say.
        """
        place = model.device
        self.model, self.choose = model, choose or likeliest
        slot, arrived = torch.zeros(1, dtype=torch.int64, device=place), None
        if reads_slots(model):
            arrived = torch.zeros(rows * model.config.num_attention_heads, dtype=torch.int32, device=place)
        self.cache = StaticCache(
            [
                LayerCache(
                    one.keys.new_zeros(rows, one.keys.shape[1], slots, one.keys.shape[3]), slot, smaller, arrived
                )
                for one, window in zip(probes, layer_windows(model.config), strict=True)
                for smaller in [window if window is not None and window < slots else None]
            ],
            slot,
            torch.zeros(rows, 1, 1, slots, dtype=torch.bool, device=place),
        )
        self.windows = {layer.window for layer in self.cache.layers if layer.window is not None}  # one at most
        self.token = torch.zeros(rows, 1, dtype=torch.int64, device=place)
        self.position = torch.zeros(rows, 1, dtype=torch.int64, device=place)

    def prefill(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Read the prompts, (rows, tokens) int64 each, padded on the left; return what `chosen` returns."""
        tokens, cache = input_ids.shape[1], self.cache
        real = attention_mask.bool()
        positions = (attention_mask.cumsum(dim=1) - 1).clamp(min=0)
        cache.slot.fill_(tokens - 1)
        cache.seen.fill_(False)
        cache.seen[:, 0, 0, :tokens] = real
        causal = torch.ones(tokens, tokens, dtype=torch.bool, device=real.device).tril()
        itself = torch.eye(tokens, dtype=torch.bool, device=real.device)  # a row without any key gives NaN
        seen = causal & real[:, None, None, :]
        cache.mask = cache.window_mask = self.typed(seen | itself)
        for window in self.windows:
            cache.window_mask = self.typed(seen & torch.ones_like(causal).triu(1 - window) | itself)
        self.position.copy_(positions[:, -1:])
        return self.chosen(input_ids, positions)

    def step(self) -> Tensor:
        """Read the token that was chosen last; return what `chosen` returns."""
        cache = self.cache
        cache.slot.add_(1)
        self.position.add_(1)
        cache.seen.index_fill_(3, cache.slot, True)
        # GPT-Neo's attention of one token takes bool (effcomp.runtimes.one_token).
        typed = (lambda mask: mask) if self.model.config.model_type == "gpt_neo" else self.typed
        cache.mask = typed(cache.seen)
        for window in self.windows:
            recent = window_slots(cache.slot, window)
            cache.window_mask = typed(cache.seen.index_select(3, recent.clamp(min=0)) & (recent >= 0))
        return self.chosen(self.token, self.position)

    def chosen(self, input_ids: Tensor, position_ids: Tensor) -> Tensor:
        """Call the model, keep the likeliest next tokens for `step`; return (2, rows) float64: the tokens, and the loss
        of each in nats."""
        logits = self.model(
            input_ids=input_ids,
            position_ids=position_ids,
            attention_mask=self.cache.mask,
            past_key_values=self.cache,
            logits_to_keep=1,
        ).logits[:, -1]
        answer = self.choose(logits)
        self.token.copy_(answer[0, :, None])
        return answer

    def typed(self, mask: Tensor) -> Tensor:
        """Return the mask for the model's attention: bool, or the values added to its scores."""
        if attention_named(self.model.config) != "eager":
            return mask
        dtype = self.model.dtype
        return torch.zeros_like(mask, dtype=dtype).masked_fill(~mask, torch.finfo(dtype).min)


def likeliest(logits: Tensor) -> Tensor:
    """Return the likeliest token of each row and its loss, (2, rows) float64. logits: (rows, vocabulary)."""
    logits = logits.float()
    best, token = logits.max(dim=-1)
    return torch.stack([token.double(), (logits.logsumexp(dim=-1) - best).double()])


def probe_shapes(model: "PreTrainedModel") -> list[ShapeProbe]:
    """Find the keys' shape and dtype of each layer (heads differ where they were pruned), by a prompt of two tokens.

    Raises:
        ValueError: the architecture does not keep its keys in a cache that is passed on to its blocks.
    """
    layers = len(layer_windows(model.config))
    cache = StaticCache([ShapeProbe() for _ in range(layers)], torch.empty(0), torch.empty(0))
    ids = torch.zeros(1, 2, dtype=torch.int64, device=model.device)
    cache.mask = cache.window_mask = torch.ones(1, 1, 2, 2, dtype=torch.bool, device=model.device)
    if attention_named(model.config) == "eager":
        cache.mask = cache.window_mask = torch.zeros(1, 1, 2, 2, dtype=model.dtype, device=model.device)
    with torch.inference_mode():
        model(input_ids=ids, position_ids=ids, attention_mask=cache.mask, past_key_values=cache)
    if any(not hasattr(layer, "keys") for layer in cache.layers):
        raise ValueError(f"{type(model).__name__} does not hand its cache on to its blocks")
    return [layer for layer in cache.layers if isinstance(layer, ShapeProbe)]


def layer_windows(config: Any) -> list[int | None]:
    """Return of each layer how many of the last tokens it attends to; None: all."""
    if (kinds := getattr(config, "attention_layers", None)) is not None:  # GPT-Neo's config
        return [config.window_size if kind == "local" else None for kind in kinds]
    return [config.sliding_window if kind == SLIDING else None for kind in layer_kinds(config)]
