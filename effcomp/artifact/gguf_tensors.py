"""A transformers model as llama.cpp knows it: the architecture's settings, and tensors under GGUF's names.

llama.cpp computes an architecture in its own code, so only those listed here can be written, and only with the
activation functions that this code has.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from effcomp.core.errors import Skipped
from effcomp.models.blocks import ARCHITECTURES, counts
from effcomp.models.heads import Head

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig, PreTrainedModel

Layer = tuple[str, str]
"""A linear layer by its name in transformers, and the activation function after it: tanh, relu or none."""


@dataclass(frozen=True)
class GgufArchitecture:
    """Architecture of llama.cpp, and the layers of transformers that it computes alike."""

    name: str
    """As llama.cpp calls it."""
    activations: tuple[str, ...]
    """The feed-forward's function, by the names that transformers has for what llama.cpp computes."""
    classifier: tuple[Layer, ...] = (("score", "none"),)
    """The layers from one position's features to the logits of the classes."""
    norm: str = "rms"
    rotary: bool = True
    interleaved: bool = False
    """True where llama.cpp rotates neighbouring channels and transformers the two halves of a head."""
    norm_offset: float = 0.0
    """Constant that transformers adds to the weight of a norm in the forward pass."""
    uneven: str | None = None
    """llama.cpp's name of the same architecture with a shape for each layer."""


GELU_TANH = ("gelu_new", "gelu_pytorch_tanh", "gelu_fast")
ENCODER: dict[str, Any] = {"activations": ("gelu", *GELU_TANH), "norm": "layer", "rotary": False}
SUPPORTED = {
    "llama": GgufArchitecture("llama", ("silu",), interleaved=True, uneven="deci"),
    "mistral": GgufArchitecture("llama", ("silu",), interleaved=True),
    "qwen2": GgufArchitecture("qwen2", ("silu",)),
    "qwen3": GgufArchitecture("qwen3", ("silu",)),
    "gemma": GgufArchitecture("gemma", GELU_TANH, norm_offset=1.0),
    "gpt2": GgufArchitecture("gpt2", GELU_TANH, norm="layer", rotary=False),
    "bert": GgufArchitecture("bert", classifier=(("bert.pooler.dense", "tanh"), ("classifier", "none")), **ENCODER),
    "distilbert": GgufArchitecture("bert", classifier=(("pre_classifier", "relu"), ("classifier", "none")), **ENCODER),
}
"""By config.model_type. BitNet 2B4T is not among them: llama.cpp's `bitnet` computes SiLU where it has squared ReLU."""


def check(config: "PretrainedConfig", head: Head, reshaped: bool = False) -> GgufArchitecture:
    """Return the architecture of a model that llama.cpp computes as transformers does.

    Args:
        reshaped: whether pruning will remove heads and neurons.

    Raises:
        Skipped: llama.cpp has no such architecture, head, activation, rotary scaling, window or pruned shape.
    """
    if (found := SUPPORTED.get(config.model_type)) is None:
        raise Skipped(f"llama.cpp does not compute {config.model_type} models; it has: {', '.join(SUPPORTED)}")
    if head == "masked_lm":
        raise Skipped("llama.cpp has no head that fills masks; use runtime=torch, onnxruntime or openvino")
    for what, has_it in unlike(config, found):
        if has_it:
            raise Skipped(f"llama.cpp computes {config.model_type} without {what}; use another runtime")
    if found.uneven is None and (reshaped or getattr(config, "kept", None)):
        raise Skipped(
            f"llama.cpp computes {config.model_type} without removed heads and neurons, for which it has Llama alone; "
            "use another runtime, or prune single weights"
        )
    return found


def unlike(config: "PretrainedConfig", architecture: GgufArchitecture) -> Iterator[tuple[str, bool]]:
    """Yield each setting that llama.cpp's code leaves out, and whether the model has it."""
    activation = next(
        getattr(config, name)
        for name in ("hidden_activation", "hidden_act", "activation", "activation_function")
        if getattr(config, name, None)
    )
    yield f"{activation} in its feed-forward", activation not in architecture.activations
    rope = getattr(config, "rope_parameters", None) or {}
    scaling = rope.get("rope_type", "default")
    yield f"{scaling} rotary scaling", scaling != "default"
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    yield f"attention to a window of {window} tokens", window is not None
    yield "attention scaled by the number of its layer", bool(getattr(config, "scale_attn_by_inverse_layer_idx", False))
    yield "unscaled attention", not getattr(config, "scale_attn_weights", True)
    yield "cross-attention", bool(getattr(config, "add_cross_attention", False))


def shapes(config: "PretrainedConfig") -> list[list[int]]:
    """Return [[key heads, neurons], ...] for each layer."""
    if config.model_type in ARCHITECTURES:
        return counts(config)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return [[heads, config.intermediate_size] for _ in range(config.num_hidden_layers)]


def head_width(config: "PretrainedConfig") -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def settings(config: "PretrainedConfig", architecture: GgufArchitecture) -> tuple[str, dict[str, Any]]:
    """Return llama.cpp's name of the architecture, and its settings by the verbs of gguf.GGUFWriter, without `add_`."""
    key_heads, neurons = (list(column) for column in zip(*shapes(config), strict=True))
    group = config.num_attention_heads // (getattr(config, "num_key_value_heads", None) or config.num_attention_heads)
    even = len(set(key_heads)) == len(set(neurons)) == 1
    found: dict[str, Any] = {
        "vocab_size": config.vocab_size,
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": neurons[0] if even else neurons,
        "head_count": group * key_heads[0] if even else [group * heads for heads in key_heads],
        "head_count_kv": key_heads[0] if even else key_heads,
        "key_length": head_width(config),
        "value_length": head_width(config),
    }
    if architecture.norm == "rms":
        found["layer_norm_rms_eps"] = config.rms_norm_eps
    else:
        found["layer_norm_eps"] = getattr(config, "layer_norm_eps", None) or getattr(
            config, "layer_norm_epsilon", 1e-12
        )
    if architecture.rotary:
        found["rope_freq_base"] = float(config.rope_parameters["rope_theta"])
        found["rope_dimension_count"] = head_width(config)
    if architecture.name == "bert":
        found["causal_attention"] = False
        found["token_type_count"] = getattr(config, "type_vocab_size", 1)
    return architecture.name if even else architecture.uneven or architecture.name, found


def named(config: "PretrainedConfig", architecture: GgufArchitecture) -> Callable[[str], str | None]:
    """Return the function from a parameter's name in transformers to its name in GGUF: None where GGUF has no place."""
    from gguf import MODEL_ARCH, get_tensor_name_map

    arch = next(arch for arch in MODEL_ARCH if arch.name.lower() == architecture.name)
    names = get_tensor_name_map(arch, config.num_hidden_layers)

    def name(parameter: str) -> str | None:
        for candidate in (parameter, parameter.partition(".")[2]):  # some are known without `bert.` before them
            if found := names.get_name(candidate, try_suffixes=(".weight", ".bias")):
                return str(found)
        return None

    return name


def tensors(model: "PreTrainedModel", architecture: GgufArchitecture) -> "Iterator[tuple[str, Tensor]]":
    """Yield the model's parameters under GGUF's names, each tied one once, without the classifier's.

    Raises:
        ValueError: GGUF has no place for one, or one holds NaN or infinity.
    """
    from effcomp.quant.tensors import stored_state

    name, width = named(model.config, architecture), head_width(model.config)
    own = tuple(layer for layer, _ in architecture.classifier)
    for parameter, tensor in stored_state(model).items():
        if parameter.startswith(own) or not tensor.is_floating_point():
            continue
        if (in_gguf := name(parameter)) is None:
            raise ValueError(f"GGUF has no place for {parameter} of a {model.config.model_type} model")
        if architecture.interleaved and in_gguf.split(".")[-2] in {"attn_q", "attn_k"}:
            tensor = interleave(tensor, width)
        if architecture.norm_offset and in_gguf.endswith("norm.weight"):
            tensor = tensor + architecture.norm_offset
        yield in_gguf, tensor


def interleave(tensor: "Tensor", width: int) -> "Tensor":
    """Merge the two halves of each head in rows (heads * width, ...): channel i, then the one that it turns with."""
    halves: Tensor = tensor.unflatten(0, (-1, 2, width // 2))
    return halves.transpose(1, 2).flatten(0, 2)
