"""Tensors of a model: which are stored, which layers are quantized, and how stored tensors get back in their places."""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

ParameterGroup = Literal["embeddings", "linear", "head", "rest"]
"""Part of a model that a parameter belongs to; the rest are biases and normalization."""
ALL_PARAMETERS: tuple[ParameterGroup, ...] = ("embeddings", "linear", "head", "rest")
CODES, SCALE = ".codes", ".scale"
"""Endings of the names under which a quantized weight is stored."""


def stored_state(model: "nn.Module") -> "dict[str, Tensor]":
    """Return the model's tensors by name, each storage once: tied weights keep their first name.

    Raises:
        ValueError: a tensor holds NaN or infinity; such a model cannot be compressed or compared.
    """
    import torch

    state: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"{name} holds NaN or infinity")
        if tensor.numel() and tensor.data_ptr() in seen:
            continue
        seen.add(tensor.data_ptr())
        state[name] = tensor.detach().contiguous()
    return state


def stored_in(model: "nn.Module", dtype: str) -> "dict[str, Tensor]":
    """Return `stored_state` with floating-point tensors cast to this type of PyTorch: `bfloat16`."""
    import torch

    return {
        name: tensor.to(getattr(torch, dtype)) if tensor.is_floating_point() else tensor
        for name, tensor in stored_state(model).items()
    }


def load_floats(skeleton: "nn.Module", tensors: "dict[str, Tensor]") -> None:
    """Put stored float tensors in place of the skeleton's meta ones, and tie the weights that the model ties.

    Tensors of quantized layers may be missing; their lowering fills them.

    Raises:
        ValueError: a tensor has no place in the architecture.
    """
    _, unexpected = skeleton.load_state_dict(tensors, strict=False, assign=True)
    if unexpected:
        raise ValueError(f"the stored tensors {unexpected} do not fit the architecture")
    if hasattr(skeleton, "tie_weights"):
        skeleton.tie_weights()  # type: ignore[operator]  # transformers models have it


def cast(model: "nn.Module", dtype: "torch.dtype") -> "nn.Module":
    """Cast floating-point parameters and stored buffers to this type, in place; return the model.

    Buffers that are computed from the config stay as they are, as with from_pretrained: rotary frequencies in bfloat16
    would be 0.9 rad off at token 2,000.
    """
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if parameter.is_floating_point():
                parameter.data = parameter.data.to(dtype)
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_floating_point() and name not in module._non_persistent_buffers_set:
                module.register_buffer(name, buffer.to(dtype))
    return model


def split_codes(
    tensors: "dict[str, Tensor]",
) -> "tuple[dict[str, tuple[Tensor, Tensor]], dict[str, Tensor]]":
    """Split stored tensors into {name: (codes, scale)} of quantized weights, and the rest, which stayed float."""
    coded = {
        name.removesuffix(CODES): (codes, tensors[name.removesuffix(CODES) + SCALE])
        for name, codes in tensors.items()
        if name.endswith(CODES)
    }
    return coded, {name: tensor for name, tensor in tensors.items() if not name.endswith((CODES, SCALE))}


def nonzero_scale(scale: "Tensor") -> "Tensor":
    """Return a scale to divide weights by: 1 in place of one below the smallest normal number.

    Dividing by a denormal scale loses precision; weights of that size are zeros to any layer.
    """
    import torch

    return torch.where(scale < torch.finfo(torch.float32).tiny, 1.0, scale)


def linear_layers(model: "nn.Module") -> "dict[str, nn.Linear]":
    """Return every nn.Linear by its name."""
    from torch import nn

    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}


def body_layers(model: "nn.Module") -> "dict[str, nn.Linear]":
    """Return every nn.Linear of the encoder or decoder by its name: without those of the head, which are sensitive to
    rounding, and often tied to the embeddings."""
    body = set(getattr(model, "base_model", model).modules())
    return {name: layer for name, layer in linear_layers(model).items() if layer in body}


def untied_layers(model: "nn.Module") -> "dict[str, nn.Linear]":
    """Return every nn.Linear by its name, but a head that is tied to the embeddings: its weight is stored as theirs."""
    theirs = {id(table.weight) for table in tables(model).values()}
    return {name: layer for name, layer in linear_layers(model).items() if id(layer.weight) not in theirs}


def tables(model: "nn.Module") -> "dict[str, nn.Embedding]":
    """Return the embedding tables by name, each once."""
    from torch import nn

    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Embedding)}


def count_by_group(model: "nn.Module") -> dict[ParameterGroup, int]:
    """Count the parameters of each group; tied ones count once, as embeddings."""
    from torch import nn

    counts: dict[ParameterGroup, int] = dict.fromkeys(ALL_PARAMETERS, 0)
    linear, heads = body_layers(model), linear_layers(model)
    for name, parameter in model.named_parameters():  # tied ones under their first name
        owner, _, kind = name.rpartition(".")
        if isinstance(model.get_submodule(owner), nn.Embedding):
            counts["embeddings"] += parameter.numel()
        elif kind == "weight" and owner in heads:
            counts["linear" if owner in linear else "head"] += parameter.numel()
        else:
            counts["rest"] += parameter.numel()
    return counts
