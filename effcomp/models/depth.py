"""Transformer layers of a model, and models that have fewer of them.

config.json says how many are left (num_hidden_layers, under the architecture's own name), so the folder loads as any
other, in transformers too.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from effcomp.models.blocks import ARCHITECTURES

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

NUMBERS = ("layer_idx", "layer_id")
"""Attributes that tell an attention which layer of a cache is its own."""
BY_LAYER = ("kept", "attention_layers", "layer_types")
"""Settings of a config that have an entry for each layer."""


def layers_of(model: "PreTrainedModel") -> "nn.ModuleList":
    """Return the transformer layers, first to last."""
    found: nn.ModuleList = model.base_model.get_submodule(ARCHITECTURES[model.config.model_type].layers)
    return found


def set_layers(model: "PreTrainedModel", layers: "Sequence[nn.Module]") -> None:
    """Let the model run these layers, in place; its config stays as it is."""
    from torch import nn

    parent, _, name = ARCHITECTURES[model.config.model_type].layers.rpartition(".")
    setattr(model.base_model.get_submodule(parent), name, nn.ModuleList(layers))


def keep_layers(model: "PreTrainedModel", kept: Sequence[int]) -> None:
    """Remove all layers but these, in place; the config says what is left.

    Args:
        kept: indices of at least one layer, in their order.
    """
    layers, config = list(layers_of(model)), model.config
    set_layers(model, [layers[index] for index in kept])
    for setting in BY_LAYER:
        if getattr(config, setting, None) is not None:
            setattr(config, setting, [getattr(config, setting)[index] for index in kept])
    if hasattr(config, "attention_layers"):  # GPT-Neo's config makes these from patterns and their numbers
        config.attention_types = [[[kind], 1] for kind in config.attention_layers]
    config.num_hidden_layers = len(kept)
    for number, layer in enumerate(layers_of(model)):
        for module in layer.modules():
            for name in NUMBERS:
                if hasattr(module, name):
                    setattr(module, name, number)
