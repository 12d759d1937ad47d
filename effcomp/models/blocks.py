"""Attention heads and feed-forward neurons of a transformer, and models that have fewer of them.

Removing a unit (a head, a neuron) takes the weights that make it and those that read it, so that the matrices get
smaller. What is left is written into the config as `kept`, [[heads, neurons], ...] for each layer, and
`heads.model_class` builds these shapes when the folder is loaded.

With grouped-query attention a unit is a key/value head with all of its query heads: every group keeps its size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

from effcomp.models.linear import same_scale

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PretrainedConfig, PreTrainedModel


@dataclass(frozen=True)
class Units:
    """Heads or neurons of a layer, by the paths of modules inside it.

    Unit i of n is the i-th of n equal runs of channels.
    """

    makers: tuple[str, ...]
    """The layers whose outputs are these channels."""
    reader: str
    """The layer whose inputs they are."""
    norm: str | None = None
    """An RMSNorm over them, before the reader."""
    norm_before: str | None = None
    """The norm whose output the makers alone read; None where it goes into the residual stream too, as after
    post-layer normalization."""
    linear: bool = False
    """True if the reader's inputs are proportional to the last maker's outputs, channel by channel."""
    fused: int = 1
    """Number of layers stacked in the maker: 3 for query, key and value of GPT-2."""
    counts: tuple[str, ...] = ()
    """Attributes that hold the number of units."""
    widths: tuple[str, ...] = ()
    """Attributes that hold the number of channels."""


@dataclass(frozen=True)
class Architecture:
    """Paths of the heads and neurons in the layers of an architecture."""

    layers: str
    """The list of the transformer layers, inside the base model."""
    inner: str
    """The config's name for the number of neurons; where it is None there are four for each hidden feature."""
    heads: Units
    neurons: Units


def llama_like(heads_norm: str | None = None, neurons_norm: str | None = None) -> Architecture:
    return Architecture(
        layers="layers",
        inner="intermediate_size",
        heads=Units(
            ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
            "self_attn.o_proj",
            norm=heads_norm,
            norm_before="input_layernorm",
            linear=True,
        ),
        neurons=Units(
            ("mlp.gate_proj", "mlp.up_proj"),
            "mlp.down_proj",
            norm=neurons_norm,
            norm_before="post_attention_layernorm",
            linear=True,
        ),
    )


ARCHITECTURES: dict[str, Architecture] = {
    "bert": Architecture(
        layers="encoder.layer",
        inner="intermediate_size",
        heads=Units(
            ("attention.self.query", "attention.self.key", "attention.self.value"),
            "attention.output.dense",
            counts=("attention.self.num_attention_heads",),
            widths=("attention.self.all_head_size",),
            linear=True,
        ),
        neurons=Units(("intermediate.dense",), "output.dense"),
    ),
    "distilbert": Architecture(
        layers="transformer.layer",
        inner="hidden_dim",
        heads=Units(
            ("attention.q_lin", "attention.k_lin", "attention.v_lin"),
            "attention.out_lin",
            counts=("attention.n_heads",),
            linear=True,
        ),
        neurons=Units(("ffn.lin1",), "ffn.lin2"),
    ),
    "gpt2": Architecture(
        layers="h",
        inner="n_inner",
        heads=Units(
            ("attn.c_attn",),
            "attn.c_proj",
            fused=3,
            counts=("attn.num_heads",),
            widths=("attn.split_size",),
            norm_before="ln_1",
            linear=True,
        ),
        neurons=Units(("mlp.c_fc",), "mlp.c_proj", norm_before="ln_2"),
    ),
    "gpt_neo": Architecture(
        layers="h",
        inner="intermediate_size",
        heads=Units(
            ("attn.attention.q_proj", "attn.attention.k_proj", "attn.attention.v_proj"),
            "attn.attention.out_proj",
            counts=("attn.attention.num_heads",),
            norm_before="ln_1",
            linear=True,
        ),
        neurons=Units(("mlp.c_fc",), "mlp.c_proj", norm_before="ln_2"),
    ),
    "llama": llama_like(),
    "bitnet": llama_like(heads_norm="self_attn.attn_sub_norm", neurons_norm="mlp.ffn_sub_norm"),
}
"""By config.model_type. To add one: an entry, its shape in tests/models/test_blocks.py."""

Counts = list[list[int]]
"""[[heads, neurons], ...], for each layer."""
Kept = Sequence[tuple[Sequence[int], Sequence[int]]]
"""(the heads, the neurons) that stay, by their indices, for each layer."""


def dense_counts(config: "PretrainedConfig") -> Counts:
    """Return the numbers of heads and neurons of the published architecture."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    neurons = getattr(config, ARCHITECTURES[config.model_type].inner) or 4 * config.hidden_size
    return [[heads, neurons] for _ in range(config.num_hidden_layers)]


def counts(config: "PretrainedConfig") -> Counts:
    """Return the numbers of heads and neurons of the models that this config describes, pruned or not."""
    found: Counts = getattr(config, "kept", None) or dense_counts(config)
    return found


def layers_with_units(model: "PreTrainedModel") -> "Iterator[tuple[nn.Module, tuple[Units, Units]]]":
    """Return the transformer layers, first to last, each with the paths of its heads and its neurons."""
    architecture = ARCHITECTURES[model.config.model_type]
    for layer in model.base_model.get_submodule(architecture.layers):
        yield layer, (architecture.heads, architecture.neurons)


def shrink(model: "PreTrainedModel", kept: Kept) -> None:
    """Remove all heads and neurons but these, in place; the config says what is left."""
    cut(model, counts(model.config), kept)
    model.config.kept = [[len(heads), len(neurons)] for heads, neurons in kept]
    model.__class__ = shaped_class(type(model))


def shaped_class(published: "type[PreTrainedModel]") -> "type[PreTrainedModel]":
    """Return the class with the shapes of `config.kept`; its name stays, because it goes into config.json."""
    if hasattr(published, "of_kept_shape"):
        return published

    def build(self: Any, config: "PretrainedConfig") -> None:
        published.__init__(self, config)
        cut(self, dense_counts(config), [(range(heads), range(neurons)) for heads, neurons in config.kept])

    own = {"__init__": build, "__module__": published.__module__, "of_kept_shape": True}
    return type(published.__name__, (published,), own)


def cut(model: "PreTrainedModel", before: Counts, kept: Kept) -> None:
    """Remove all but the kept heads and neurons from each layer, in place; before: their present numbers."""
    for (layer, both), totals, stay in zip(layers_with_units(model), before, kept, strict=True):
        for units, total, indices in zip(both, totals, stay, strict=True):
            keep_units(layer, units, total, indices)


def keep_units(layer: "nn.Module", units: Units, total: int, kept: Sequence[int]) -> None:
    """Keep these of `total` units of a layer, in place."""
    from torch import nn

    for path in units.makers:
        keep_channels(layer.get_submodule(path), units.fused, total, kept, of_outputs=True)
    reader = layer.get_submodule(units.reader)
    keep_channels(reader, 1, total, kept, of_outputs=False)
    if units.norm is not None:
        norm = layer.get_submodule(units.norm)
        weight: Tensor = norm.weight.detach()  # type: ignore[operator]
        # The mean square is now over fewer channels; of those that are gone it counted the square as 0.
        scale = sqrt(total / len(kept))
        norm.weight = nn.Parameter(weight[channels(weight, 0, 1, total, kept)] * scale)
    for path, size in [
        *((path, len(kept)) for path in units.counts),
        *((path, channels_in(reader)) for path in units.widths),
    ]:
        module, _, attribute = path.rpartition(".")
        setattr(layer.get_submodule(module), attribute, size)


def keep_channels(layer: "nn.Module", fused: int, total: int, kept: Sequence[int], *, of_outputs: bool) -> None:
    """Keep the outputs, or the inputs, of a linear layer that belong to these of `total` units, in place."""
    from torch import nn

    conv1d = hasattr(layer, "nf")
    weight: Tensor = layer.weight.detach()  # type: ignore[operator]
    axis = int(of_outputs == conv1d)  # nn.Linear has (outputs, inputs), Conv1D (inputs, outputs)
    stay = channels(weight, axis, fused, total, kept)
    with same_scale(layer):
        layer.weight = nn.Parameter(weight.index_select(axis, stay))
    if of_outputs and layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias.detach()[stay])  # type: ignore[operator]
    size = layer.weight.shape[axis]
    setattr(
        layer, ("nf" if of_outputs else "nx") if conv1d else ("out_features" if of_outputs else "in_features"), size
    )


def channels_in(layer: "nn.Module") -> int:
    """Return the number of inputs of a linear layer."""
    return int(layer.nx if hasattr(layer, "nf") else layer.in_features)  # type: ignore[arg-type]


def channels(weight: "Tensor", axis: int, fused: int, total: int, kept: Sequence[int]) -> "Tensor":
    """Return the indices along an axis of the weight that belong to these of `total` units, int64."""
    import torch

    every = torch.arange(weight.shape[axis], device=weight.device).view(fused, total, -1)
    return every[:, torch.tensor(list(kept), dtype=torch.long, device=weight.device)].flatten()
