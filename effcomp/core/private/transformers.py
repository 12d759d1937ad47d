"""Tables and choices of transformers' models and configs."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig


def architecture(auto: Any, config: "PretrainedConfig") -> Any:
    """Return the class that an Auto class (AutoModel, ...) has for a config: one, a tuple of several, or None."""
    return auto._model_mapping.get(type(config), None)


def attention_named(config: "PretrainedConfig") -> str:
    """Return the implementation of attention that the model uses: `eager`, `sdpa`, one that was registered, or
    `None` where the config leaves the choice to transformers."""
    return str(config._attn_implementation)


def replace_gptneo_attention(layer: "nn.Module", wrap: "Callable[[Any], Any]") -> None:
    """Replace the attention of a GPTNeoSelfAttention, which cannot be chosen by name, by `wrap` of it."""
    layer._attn = wrap(layer._attn)
