"""Checks that the weights of a folder are those of its config, with the head that is wanted."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effcomp.core.errors import UserError, first_line
from effcomp.core.private.transformers import attention_named
from effcomp.models.folder import CONFIG_FILE, SAVE_AGAIN, WAY_ON
from effcomp.models.heads import Head, model_class

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

NUMBER = re.compile(r"\.\d+\.")
"""Number of a layer in the name of a tensor."""


def check_weights(folder: Path, whose: str, head: Head, config: "PretrainedConfig", *, as_it_is: bool) -> None:
    """Check that the tensors are those of this architecture with this head; none is read.

    Args:
        whose: `model.path=FOLDER` or `model=NAME`, for the message.
        as_it_is: the head must be there too: it will not be trained.

    Raises:
        UserError: a tensor is missing, is left over or has another shape.
    """
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # BitNet's, whose layers are ours
    try:
        built, loaded = model_class(head, config).from_pretrained(
            folder,
            config=config,
            device_map="meta",
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            use_safetensors=True,
        )
    except Exception as error:  # whatever a wrong file or field makes transformers raise
        reason, way_on = f"its model cannot be built ({first_line(error)})", WAY_ON
        if (attention := attention_named(config)) not in ("None", "eager", "sdpa"):
            way_on = f"its {CONFIG_FILE} asks for the attention {attention}: write sdpa or eager there"
        raise UserError(f"{whose}: {reason}; {way_on}") from error
    check_loaded(built, loaded, head, whose, as_it_is=as_it_is)


def check_loaded(model: "PreTrainedModel", loaded: dict[str, Any], head: Head, whose: str, *, as_it_is: bool) -> None:
    """Check what transformers says of a model that it has loaded (`output_loading_info`).

    Raises:
        UserError: a tensor of the body is missing, has another shape, or belongs to a layer that the config does not
            have; or the head is missing and is not to be trained from scratch.
    """
    body = f"{model.base_model_prefix}."
    for name, stored, wanted in sorted(loaded["mismatched_keys"]):
        if as_it_is or head != "sequence_classification" or name.startswith(body):
            shapes = f"{name} is {tuple(stored)} in the weights and {tuple(wanted)} in its {CONFIG_FILE}"
            raise UserError(f"{whose}: {shapes}; give weights and config of one model")
    check_left_over(
        loaded["unexpected_keys"], [name for name in model.state_dict() if name.startswith(body)], body, whose
    )
    missing = sorted(loaded["missing_keys"])
    if inside := [name for name in missing if name.startswith(body) and "pooler" not in name.split(".")]:
        raise UserError(f"{whose} has no weights for {inside[0]}: {SAVE_AGAIN}")
    if missing and head == "causal_lm":
        reason = f"and its {CONFIG_FILE} does not tie them to the embeddings (tie_word_embeddings)"
        raise UserError(f"{whose} has no weights for {', '.join(missing)}, {reason}; give the whole model")
    if missing and as_it_is:
        raise UserError(
            f"{whose} has no weights for {', '.join(missing)}, and nothing trains it (finetune=none, or a teacher): "
            "give a checkpoint with a trained head, or train one first (finetune=full)"
        )


def check_left_over(left_over: Iterable[str], names: Iterable[str], body: str, whose: str) -> None:
    """Raise UserError for a weight or a bias of the body that the model does not read: it answers differently without
    it. Buffers (masks, frequencies of rotary positions) are made from the config, and other heads are not in the body.

    Args:
        left_over: names of the tensors that transformers has not read.
        names: those of the model's own body.
        body: their prefix, with its point.
    """
    known = {NUMBER.sub(".0.", name.removeprefix(body)) for name in names}
    children = {name.partition(".")[0] for name in known}
    for name in sorted(left_over):
        inner = NUMBER.sub(".0.", name.removeprefix(body))
        if NUMBER.search(name) and inner in known:
            reason = f"its weights hold {name}, a layer more than its {CONFIG_FILE} has"
            raise UserError(f"{whose}: {reason}; give weights and config of one model")
        layer, _, kind = inner.rpartition(".")
        of_body = inner.partition(".")[0] in children
        if of_body and (kind == "weight" or (kind == "bias" and f"{layer}.weight" in known)):
            reason = f"its weights hold {name}, which transformers does not read"
            raise UserError(f"{whose}: {reason}, so it would answer differently; give another model")
