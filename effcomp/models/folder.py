"""Checks of a folder that a user names, as save_pretrained writes it: its faults are reported before any work.

The functions take the setting that names the folder (`model.path`), for their messages.
"""

import json
import logging
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effcomp.core.errors import UserError, first_line
from effcomp.core.readable import reading
from effcomp.models.heads import POSITIONS_BY_PAD, Head, model_class

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)

CONFIG_FILE, ADAPTER_FILE = "config.json", "adapter_config.json"
WAY_ON = "give a folder written by save_pretrained"
SAVE_AGAIN = "save or fetch the model again"
MERGE = "add it to its model's weights with peft's merge_and_unload, and save the result"
VOCABULARIES = ("tokenizer.json", "vocab.*", "*.model", "*.tiktoken")
"""Files that hold a tokenizer's vocabulary."""
FLOATS = {"F64", "F32", "F16", "BF16"}
"""Types of weights that are the model's own; others are codes, whose scales lie elsewhere."""
NEEDED_TOKENS: dict[Head, tuple[str, ...]] = {
    "sequence_classification": (),
    "masked_lm": ("cls_token", "sep_token", "mask_token"),
    "causal_lm": ("eos_token",),
}
"""Special tokens that effcomp.tasks.encoding puts between the tokens of a text."""


def check_folder(folder: Path, setting: str, *, weights: bool) -> "tuple[PretrainedConfig, PreTrainedTokenizerBase]":
    """Return the config and the tokenizer. With `weights` every tensor is read once.

    Raises:
        UserError: a file is missing or damaged, an adapter lies beside the weights, they are quantized already or
            are no finite floats, or the tokenizer has more tokens than the model.
    """
    fields = read_config(folder, setting)
    if (folder / ADAPTER_FILE).is_file():
        reason = f"holds an adapter beside its weights ({ADAPTER_FILE})"
        raise UserError(f"{setting}={folder} {reason}; {MERGE}")
    refuse_quantized(fields.get("quantization_config"), f"{setting}={folder}")
    if weights:
        check_tensors(folder, setting)
    config = checked_config(folder, setting, fields["model_type"])
    if fields.get("auto_map"):
        warn_of_own_code(f"{setting}={folder}", fields["model_type"])
    return config, checked_tokenizer(folder, setting, config)


@cache
def warn_of_own_code(whose: str, model_type: str) -> None:
    """Warn once that code which comes with a model does not run."""
    reason = f"its {CONFIG_FILE} names code of its own (auto_map), which is not run"
    log.warning("%s: %s; what is measured is the %s of transformers", whose, reason, model_type)


MEASURED_AS_THEY_ARE = ("bitsandbytes", "gptq", "awq", "compressed-tensors")
"""Quantization methods of which quant=checkpoint reads folders."""


def refuse_quantized(quantized: Any, whose: str) -> None:
    """Raise UserError for weights that are quantized already.

    Args:
        quantized: the config's quantization_config, or None. BitNet's is let through: effcomp.models.bitnet unpacks it.
    """
    if quantized is None or (isinstance(quantized, dict) and quantized.get("quant_method") == "bitnet"):
        return
    method = quantized.get("quant_method") if isinstance(quantized, dict) else quantized
    way_on = "give float weights, those of the model that it was made from"
    if method in MEASURED_AS_THEY_ARE:
        way_on += ", and this folder to quant=checkpoint (quant.path)"
    raise UserError(f"{whose} is quantized already ({method}): {way_on}")


def read_config(folder: Path, setting: str) -> dict[str, Any]:
    """Return the fields of config.json; `model_type` is among them.

    Raises:
        UserError: there is none, it cannot be read, or it is not what save_pretrained writes.
    """
    file = folder / CONFIG_FILE
    try:
        with reading(folder, setting):
            if not file.is_file():
                raise UserError(f"{setting}={folder} has no {CONFIG_FILE}: {other_folder(folder)}")
            text = file.read_text()
        fields: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{setting}={folder}: its {CONFIG_FILE} is no JSON ({first_line(error)}); {WAY_ON}") from error
    if not isinstance(fields, dict) or not isinstance(fields.get("model_type"), str):
        raise UserError(f"{setting}={folder}: its {CONFIG_FILE} names no model_type; {WAY_ON}")
    return fields


def other_folder(folder: Path) -> str:
    """Return in words what a folder without a config holds instead, and the way on."""
    if (folder / ADAPTER_FILE).is_file():
        return f"it holds an adapter alone; {MERGE}"
    if inner := sorted(folder.glob(f"*/{CONFIG_FILE}")):
        return f"give the folder of one model, say {inner[0].parent}"
    return WAY_ON


def other_weights(names: Collection[str]) -> str:
    """Return in words what a model without safetensors has instead, and the way on.

    Args:
        names: of its files.
    """
    if files := sorted(name for name in names if name.endswith(".gguf")):
        return f"holds GGUF ({files[0]}), which is quantized already: give the float model that it was made from"
    if files := sorted(name for name in names if name.endswith((".bin", ".pt", ".pth"))):
        return (
            f"has its weights as pickles alone ({files[0]}), which can run code: give safetensors "
            "(https://huggingface.co/spaces/safetensors/convert makes them)"
        )
    return "has no .safetensors file: give a model that has, as save_pretrained writes it"


def check_tensors(folder: Path, setting: str) -> None:
    """Read every tensor, one at a time; raise UserError for a missing or damaged file, codes, NaN or infinity."""
    from safetensors import SafetensorError, safe_open

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        without = "; or use model.weights=random" if setting == "model.path" else ""
        raise UserError(f"{setting}={folder} {other_weights([file.name for file in folder.iterdir()])}{without}")
    for file in files:
        try:
            with safe_open(file, framework="pt") as tensors:
                check_types(tensors, f"{setting}={folder}")
            check_finite(file, f"{setting}={folder}")
        except (SafetensorError, OSError) as error:
            raise UserError(f"{file} is damaged ({first_line(error)}): {SAVE_AGAIN}") from error


def check_finite(file: Path, whose: str) -> None:
    """Read every tensor of a safetensors file, one at a time; raise UserError for NaN or infinity."""
    import torch
    from safetensors import safe_open

    with safe_open(file, framework="pt") as tensors:
        for name in tensors.keys():  # noqa: SIM118  # it is no dict
            if not torch.isfinite(tensors.get_tensor(name)).all():
                raise UserError(f"{whose}: {name} holds NaN or infinity; give finite weights")


def check_types(tensors: Any, whose: str) -> None:
    """Raise UserError for weights that are no floats: they are codes, which would be taken for the weights themselves.

    Args:
        tensors: an open safetensors file, of which the header alone is read.
    """
    for name in tensors.keys():  # noqa: SIM118  # it is no dict
        if name.endswith(".weight") and (kind := tensors.get_slice(name).get_dtype()) not in FLOATS:
            reason = f"{name} is {kind}, no float"
            raise UserError(f"{whose}: {reason}; give float weights, those of the model that it was made from")


def check_headers(files: list[Path], whose: str, way_on: str, *, packed: bool) -> None:
    """Raise UserError for a file of weights whose header or length is wrong, or weights that are codes; no tensor is
    read.

    Args:
        way_on: the fix for a damaged file, for the message.
        packed: the config says how codes are packed.
    """
    from safetensors import SafetensorError, safe_open

    for file in files:
        try:
            with safe_open(file, framework="pt") as tensors:
                if not packed:
                    check_types(tensors, whose)
        except (SafetensorError, OSError) as error:
            raise UserError(f"{file} of {whose} is damaged ({first_line(error)}): {way_on}") from error


def checked_config(folder: Path, setting: str, model_type: str) -> "PretrainedConfig":
    from transformers import CONFIG_MAPPING
    from transformers import __version__ as version

    if model_type not in CONFIG_MAPPING:
        reason = f"transformers {version} does not know the architecture {model_type}"
        raise UserError(f"{setting}={folder}: {reason}; give a model of another one")
    try:
        config = plain_config(folder)
        config.validate()  # as save_pretrained does, after the training
    except Exception as error:  # whatever a wrong field makes transformers raise
        raise UserError(f"{setting}={folder}: its {CONFIG_FILE} is wrong ({first_line(error)}); {WAY_ON}") from error
    layers = getattr(config, "num_hidden_layers", None)
    if isinstance(layers, int) and layers < 1:
        raise UserError(f"{setting}={folder}: its {CONFIG_FILE} has {layers} layers; {WAY_ON}")
    return config


def plain_config(folder: Path) -> "PretrainedConfig":
    """Load a config, without the fields that ask for other answers than logits by name, or for them in chunks: they say
    nothing of the model.

    Raises:
        Exception: a field is wrong; whatever transformers raises.
    """
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder)
    config.output_attentions = config.output_hidden_states = False
    config.return_dict, config.chunk_size_feed_forward = True, 0
    return config


def has_vocabulary(folder: Path) -> bool:
    """Tell whether a folder holds a tokenizer's words."""
    return any(file for pattern in VOCABULARIES for file in folder.glob(pattern))


def checked_tokenizer(folder: Path, setting: str, config: "PretrainedConfig") -> "PreTrainedTokenizerBase":
    """Load the tokenizer of a folder. Where there is none, transformers would make up one without words."""
    from transformers import AutoTokenizer

    if not has_vocabulary(folder):
        raise UserError(f"{setting}={folder} has no tokenizer: save it there with the tokenizer's save_pretrained")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # whatever a damaged file makes transformers raise
        reason = f"its tokenizer cannot be loaded ({first_line(error)})"
        raise UserError(f"{setting}={folder}: {reason}; save it again with save_pretrained") from error
    check_words(tokenizer, f"{setting}={folder}")
    if not isinstance(longest := tokenizer.model_max_length, int | float):
        reason = f"its tokenizer_config.json has model_max_length {longest!r}, no number"
        raise UserError(f"{setting}={folder}: {reason}; give the number alone")
    vocabulary = getattr(config, "vocab_size", len(tokenizer))
    if len(tokenizer) > vocabulary:
        raise UserError(
            f"{setting}={folder}: its tokenizer has {len(tokenizer)} tokens, the model {vocabulary}; "
            "give the model its own tokenizer"
        )
    if (largest := max(tokenizer.get_vocab().values())) >= vocabulary:
        reason = f"its tokenizer has the id {largest}, the model {vocabulary} tokens"
        raise UserError(f"{setting}={folder}: {reason}; give the model its own tokenizer")
    if config.model_type in POSITIONS_BY_PAD and config.pad_token_id not in tokenizer.get_vocab().values():
        reason = f"its {CONFIG_FILE} has the pad_token_id {config.pad_token_id}, which its tokenizer does not have"
        raise UserError(f"{setting}={folder}: {reason}; write the tokenizer's, on which positions depend")
    if tokenizer.pad_token_id is None and tokenizer.eos_token_id is None:
        raise UserError(f"{setting}={folder}: its tokenizer has neither pad_token nor eos_token; name one there")
    return tokenizer


def check_words(tokenizer: "PreTrainedTokenizerBase", whose: str) -> None:
    """Raise UserError for a tokenizer of special tokens alone, which transformers makes up without its files."""
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        raise UserError(f"{whose}: its tokenizer knows no words; give the model its own tokenizer")


def check_head(
    folder: Path, setting: str, head: Head, config: "PretrainedConfig", tokenizer: "PreTrainedTokenizerBase"
) -> "type[PreTrainedModel]":
    """Return the class of this architecture with this head.

    Raises:
        UserError: the architecture has no such head or is an encoder-decoder, or the tokenizer lacks a token that the
            head needs.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    if config.is_encoder_decoder:
        reason = f"is an encoder-decoder ({config.model_type}), and effcomp measures encoders and decoders"
        raise UserError(f"{setting}={folder} {reason}; give a BERT- or GPT-like model")
    fills_masks = config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    given = f"{setting}={folder}"
    if head == "causal_lm" and fills_masks:
        raise UserError(f"{given} is an encoder ({config.model_type}), which fills masks: use model=minilm {given}")
    if head == "masked_lm" and not fills_masks:
        raise UserError(f"{given} is no encoder ({config.model_type}) that fills masks: use model=gpt2 {given}")
    try:
        found = model_class(head, config)
    except KeyError as error:
        words = head.replace("_", " ")
        raise UserError(
            f"{setting}={folder}: transformers has no {words} of the architecture {config.model_type}; "
            "give a model of another one, or another task"
        ) from error
    if lacking := [name for name in NEEDED_TOKENS[head] if getattr(tokenizer, name) is None]:
        raise UserError(f"{setting}={folder}: its tokenizer has no {lacking[0]}; give the model's own tokenizer")
    return found
