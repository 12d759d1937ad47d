"""Types of the tensors of a GGUF file: llama.cpp's mixtures, by the name of the type.

A type such as q4_k_m is a mixture: tensors whose errors cost most have more bits. The rules are llama.cpp's own
(src/llama-quant.cpp, llama_tensor_get_type_impl and tensor_type_fallback, b11549), for dense models.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

Eight = Literal["f32", "f16", "bf16", "q8_0"]
Six = Literal["q6_k", "q5_k_m", "q5_k_s", "q5_1", "q5_0"]
Four = Literal["q4_k_m", "q4_k_s", "q4_1", "q4_0", "iq4_xs", "iq4_nl"]
Three = Literal["q3_k_l", "q3_k_m", "q3_k_s", "q2_k", "tq2_0", "tq1_0"]
GgufType = Literal[Eight, Six, Four, Three]
FLOATS = {"F32", "F16", "BF16"}


@dataclass(frozen=True)
class Tensor:
    """A matrix of the model, as the rules see it."""

    name: str
    """Name in GGUF: `blk.3.attn_v.weight`."""
    width: int
    """Number of inputs: the length of a row."""
    layers: int
    """Number of layers of the model."""
    grouped: bool
    """True where four query heads or more share a key head."""
    importance: bool
    """True where an importance matrix weighs the errors of its weights."""
    is_output: bool
    """True for the matrix that makes the logits, also when it is the tied embedding table."""

    @property
    def role(self) -> str:
        """Return `attn_v` of `blk.3.attn_v.weight`; a stacked query, key and value counts as the value."""
        role = self.name.split(".")[-2]
        return "attn_v" if role == "attn_qkv" else role

    @property
    def layer(self) -> int:
        return int(self.name.split(".")[1])


def everywhere(tensor: Tensor) -> bool:
    return True


def more_bits(tensor: Tensor) -> bool:
    """Hold in the first and the last eighth of the layers, and in each third one between."""
    first, last = tensor.layers // 8, 7 * tensor.layers // 8
    return tensor.layer < first or tensor.layer >= last or (tensor.layer - first) % 3 == 2


def first_eighth(tensor: Tensor) -> bool:
    return tensor.layer < tensor.layers // 8


class Rule(NamedTuple):
    """One exception of a mixture; the first that holds is taken."""

    role: str
    kind: str
    holds: Callable[[Tensor], bool] = everywhere


MIXTURES: dict[str, tuple[Rule, ...]] = {
    "q5_k_m": (Rule("attn_v", "Q6_K", more_bits), Rule("ffn_down", "Q6_K", more_bits)),
    "q5_0": (Rule("ffn_down", "Q5_1", lambda tensor: tensor.importance and first_eighth(tensor)),),
    "q4_k_m": (Rule("attn_v", "Q6_K", more_bits), Rule("ffn_down", "Q6_K", more_bits)),
    "q4_k_s": (Rule("attn_v", "Q5_K", lambda tensor: tensor.layer < 4), Rule("ffn_down", "Q5_K", first_eighth)),
    "q4_0": (Rule("ffn_down", "Q4_1", lambda tensor: tensor.importance and first_eighth(tensor)),),
    **dict.fromkeys(
        ("iq4_nl", "iq4_xs"),
        (
            Rule("attn_v", "Q5_K", lambda tensor: tensor.grouped),
            Rule("ffn_down", "Q5_K", lambda tensor: not tensor.importance and first_eighth(tensor)),
        ),
    ),
    "q3_k_l": (Rule("attn_v", "Q5_K"), Rule("ffn_down", "Q5_K"), Rule("attn_output", "Q5_K")),
    "q3_k_m": (
        Rule("attn_v", "Q5_K", lambda tensor: tensor.layer < 2),
        Rule("attn_v", "Q4_K"),
        Rule("ffn_down", "Q5_K", lambda tensor: tensor.layer < tensor.layers // 16),
        Rule("ffn_down", "Q4_K"),
        Rule("attn_output", "Q4_K"),
    ),
    "q2_k": (
        Rule("attn_v", "Q4_K", lambda tensor: tensor.grouped),
        Rule("attn_v", "Q3_K"),
        Rule("ffn_down", "Q3_K"),
        Rule("attn_output", "Q3_K"),
    ),
    "tq2_0": (Rule("token_embd", "Q4_K"),),
    "tq1_0": (Rule("token_embd", "Q4_K"),),
}
NARROW = {
    **dict.fromkeys(("Q2_K", "Q3_K", "TQ1_0", "TQ2_0"), "Q4_0"),
    "IQ4_XS": "IQ4_NL",
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}
"""Substitutes with blocks of 32, for rows that do not fill the blocks of 256."""


def base_kind(of_type: GgufType) -> str:
    """Return the format of most tensors: Q4_K of q4_k_m."""
    return of_type.upper().removesuffix("_M").removesuffix("_S").removesuffix("_L")


def bits(kind: str) -> int:
    """Return the bits of a code: 4 of IQ4_NL and of Q4_K; without its share of the scales."""
    return int(next(character for character in kind if character.isdigit()))


def block(kind: str) -> int:
    """Return how many weights of a row are coded together."""
    return 1 if kind in FLOATS else 256 if kind in NARROW else 32


def tensor_kind(of_type: GgufType, tensor: Tensor) -> str:
    """Return the format of one matrix, by ggml's name: Q6_K."""
    kind = base_kind(of_type)
    if kind in FLOATS:
        return kind
    if tensor.is_output:
        kind = "Q8_0" if kind == "Q8_0" or tensor.width % block(kind) else "Q6_K"
    else:
        rules = (rule for rule in MIXTURES.get(of_type, ()) if rule.role == tensor.role and rule.holds(tensor))
        kind = next((rule.kind for rule in rules), kind)
    if tensor.width % block(kind):
        kind = NARROW.get(kind, "F16")
    return "F16" if tensor.width % block(kind) else kind
