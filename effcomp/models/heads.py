"""Heads: the prediction that a model makes, and its class in transformers."""

from typing import TYPE_CHECKING, Any, Literal

from effcomp.core.errors import UserError, first_line
from effcomp.core.private.transformers import architecture

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

Problem = Literal["classification", "language_modelling", "generation"]
"""Kind of answer that a task asks for."""
Head = Literal["sequence_classification", "masked_lm", "causal_lm"]
"""Output of a model: class logits, filled masks (encoders) or the next token (decoders), repeatedly in generation."""
Kind = Literal["encoder", "decoder"]

HEADS: dict[tuple[Problem, Kind], Head] = {
    ("classification", "encoder"): "sequence_classification",
    ("classification", "decoder"): "sequence_classification",
    ("language_modelling", "encoder"): "masked_lm",
    ("language_modelling", "decoder"): "causal_lm",
    ("generation", "decoder"): "causal_lm",
}


def model_class(head: Head, config: "PretrainedConfig") -> "type[PreTrainedModel]":
    """Return the class of an architecture with a head; most of the time of loading is its import.

    Where the config says how many heads and neurons are left (`kept`), its models have these shapes.
    """
    published = published_class(head, config)
    if getattr(config, "kept", None) is None:
        return published
    from effcomp.models.blocks import shaped_class

    return shaped_class(published)


def empty_model(head: Head, config: "PretrainedConfig") -> "PreTrainedModel":
    """Return the architecture with a head, its parameters on the meta device; it takes no memory.

    Raises:
        UserError: a field of the config is wrong.
    """
    from accelerate import init_empty_weights

    try:
        with init_empty_weights():
            model = model_class(head, config)(config)
    except (ValueError, RuntimeError) as error:
        reason = f"no model of {config.model_type} can be built of its config.json"
        raise UserError(f"{reason} ({first_line(error)})") from error
    model.tie_weights()
    return model


def published_class(head: Head, config: "PretrainedConfig") -> "type[PreTrainedModel]":
    """Return the class with the shapes of the published architecture.

    Raises:
        KeyError: transformers has no such head for this architecture.
    """
    import transformers

    if config.model_type == "bitnet":  # transformers has it without its quantized layers, and without a classifier
        from effcomp.models import bitnet

        return bitnet.CLASSES[head]
    auto = {
        "sequence_classification": transformers.AutoModelForSequenceClassification,
        "masked_lm": transformers.AutoModelForMaskedLM,
        "causal_lm": transformers.AutoModelForCausalLM,
    }[head]
    found: type[PreTrainedModel] | None = architecture(auto, config)
    if found is None:
        raise KeyError(type(config).__name__)
    return found


POSITIONS_AFTER_PAD = {
    *("camembert", "data2vec-text", "esm", "ibert", "lilt", "longformer", "luke", "markuplm", "mpnet", "roberta"),
    *("roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"),
}
"""Architectures whose first token has the position pad_token_id + 1: the rows of the table before it hold no token."""
POSITIONS_BY_PAD = POSITIONS_AFTER_PAD | {"xglm"}
"""Architectures whose positions depend on the config's pad_token_id; XGLM's table has zeros at the position of it."""


def longest_sequence(config: dict[str, Any]) -> int | None:
    """Return how many tokens a model with this config of transformers reads; None where the config sets no limit."""
    names = ("max_position_embeddings", "n_positions", "max_seq_len")
    positions = next((int(config[name]) for name in names if config.get(name)), None)
    if positions is None or config.get("model_type") not in POSITIONS_AFTER_PAD:
        return positions
    return positions - int(config["pad_token_id"]) - 1
