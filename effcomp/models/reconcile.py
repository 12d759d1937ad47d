"""Facts that a checkpoint states in two places, reconciled once, when it is loaded.

| fact | stands in | rule |
| --- | --- | --- |
| pad id | config.json, the tokenizer | the tokenizer's, which fills the batches; where positions depend on the pad id (RoBERTa and its kin, XGLM) the config's, and the tokenizer then pads with it |
| padding side | the tokenizer, the architecture | right, where positions count from 0; left for an architecture that classifies by its last position (XLNet) |
| token types | the tokenizer, the architecture | left out for a model that takes none or has fewer than two |
| attention mask | the tokenizer, the architecture | always given: without it padding would be read |
| tied weights | config.json, the weights | the weights: two matrices that differ are not tied |
| positions | config.json, the architecture | the positions of the config, less those that the architecture reserves (`heads.longest_sequence`) |
| problem_type | config.json, the task | the task's: one label of several; a head for another problem is refused with finetune=none (`labels.labels_order`) |
| names of the classes | id2label, label2id | id2label's; label2id's, where id2label has default names (LABEL_0); refused with finetune=none where both number the same names, and differ, or id2label does not begin at 0 (`labels.own_names`) |
| number of layers | config.json, the weights | refused where they differ (`weights.check_loaded`) |
"""  # noqa: E501  # a table

from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING

from effcomp.core.errors import UserError, first_line
from effcomp.core.private.transformers import architecture
from effcomp.models.folder import WAY_ON, check_words
from effcomp.models.heads import POSITIONS_BY_PAD, Head, model_class
from effcomp.models.weights import check_loaded

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


def load_tokenizer(folder: Path, config: "PretrainedConfig") -> "PreTrainedTokenizerBase":
    """Load the tokenizer of a folder, with a pad token and a padding side that suit the model.

    Raises:
        UserError: it knows no words.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    check_words(tokenizer, str(folder))
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if config.model_type in POSITIONS_BY_PAD and config.pad_token_id is not None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(config.pad_token_id)
    tokenizer.padding_side = "left" if classifies_last_position(config) else "right"
    if "attention_mask" not in tokenizer.model_input_names:
        tokenizer.model_input_names = [*tokenizer.model_input_names, "attention_mask"]
    if not reads_token_types(config):
        tokenizer.model_input_names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
    return tokenizer


def reads_token_types(config: "PretrainedConfig") -> bool:
    """Tell whether the architecture takes token types, of which it knows at least two."""
    from transformers import AutoModel

    found = architecture(AutoModel, config)
    body = found[0] if isinstance(found, tuple) else found  # Funnel has one that pools and one that does not
    takes = body is None or "token_type_ids" in signature(body.forward).parameters
    return takes and getattr(config, "type_vocab_size", 2) > 1


def classifies_last_position(config: "PretrainedConfig") -> bool:
    """Tell whether a classifier reads the last position even where it is padding."""
    return getattr(config, "summary_type", None) == "last"


def settle_pad_id(config: "PretrainedConfig", tokenizer: "PreTrainedTokenizerBase | None") -> None:
    """Let the config name the id that fills the batches: decoders classify by the last token that is not this one."""
    if tokenizer is not None and config.model_type not in POSITIONS_BY_PAD:
        config.pad_token_id = tokenizer.pad_token_id
    elif config.pad_token_id is None:
        config.pad_token_id = 0


def load_weights(
    folder: Path, head: Head, config: "PretrainedConfig", whose: str, *, as_it_is: bool
) -> "PreTrainedModel":
    """Load the float32 model with this head.

    A classifier's head that is missing, or has another number of labels, is new.

    Args:
        whose: the subject of the message: `model.path=FOLDER`.
        as_it_is: the head must be there: it will not be trained.

    Raises:
        UserError: the weights are not those of the config, or the head is missing.
    """
    try:
        model, loaded = model_class(head, config).from_pretrained(
            folder,
            config=config,
            dtype="float32",
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    except (MemoryError, ImportError):
        raise
    except Exception as error:  # whatever a wrong field makes transformers raise
        raise UserError(f"{whose}: its model cannot be built ({first_line(error)}); {WAY_ON}") from error
    check_loaded(model, loaded, head, whose, as_it_is=as_it_is)
    settle_ties(model)
    return model


def settle_ties(model: "PreTrainedModel") -> None:
    """Let the config say what the loaded weights show: where two matrices that it ties differ, none is tied.

    transformers loads such a checkpoint untied and leaves its config as it was; every later reader of the config
    would tie them.
    """
    from torch import nn

    if model.get_expanded_tied_weights_keys(all_submodels=True).keys() <= model.all_tied_weights_keys.keys():
        return
    model.config.tie_word_embeddings = False
    for name in model.all_tied_weights_keys:
        module, _, parameter = name.rpartition(".")
        shared = model.get_parameter(name)
        setattr(model.get_submodule(module), parameter, nn.Parameter(shared.detach().clone()))
    model.all_tied_weights_keys = {}
