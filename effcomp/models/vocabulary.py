"""Vocabularies that have lost tokens: the tokenizer and the embeddings number the kept ones anew, in their old order.

Every text can still be read: the characters of a token that is gone have tokens of their own. The folder of such a
model loads as any other.
"""

import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effcomp.core.errors import UserError
from effcomp.models.token_models import TOKEN_MODELS, TokenModel

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

TOKENIZER_FILE = "tokenizer.json"


def read_token_model(tokenizer: "PreTrainedTokenizerBase") -> TokenModel:
    """Return the token model of a tokenizer.

    Raises:
        UserError: it is not one of TOKEN_MODELS. The message is the reason alone.
    """
    if not tokenizer.is_fast:
        raise UserError(f"it is no fast tokenizer (tokenizer.json) but a {type(tokenizer).__name__}")
    model = as_json(tokenizer)["model"]
    if model["type"] not in TOKEN_MODELS:
        raise UserError(f"its tokens are those of a {model['type']}, not of {', '.join(TOKEN_MODELS)}")
    return TOKEN_MODELS[model["type"]](model)


def as_json(tokenizer: "PreTrainedTokenizerBase") -> dict[str, Any]:
    """Return the contents of tokenizer.json."""
    found: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    return found


def complete(tokenizer: "PreTrainedTokenizerBase", wanted: Iterable[str]) -> set[str]:
    """Return the wanted tokens with those that must stay beside them: special and added tokens, single characters,
    tokens that byte-pair encoding passes through, and tokens that no single characters spell."""
    model = read_token_model(tokenizer)
    known = model.vocabulary.keys()
    letters = {token: model.characters(token) for token in known}
    stay = {token for token in known if len(letters[token]) == 1 or not known >= set(letters[token])}
    stay |= model.always() | (tokenizer.get_vocab().keys() - known) | set(tokenizer.all_special_tokens)
    stay |= set(tokenizer.get_added_vocab()) | set(wanted)
    return stay.union(*(model.steps(token) for token in stay))


def without_tokens(tokenizer: "PreTrainedTokenizerBase", kept: set[str]) -> "PreTrainedTokenizerBase":
    """Return the tokenizer with the kept tokens alone, which `complete` has completed.

    Raises:
        UserError: what is left does not load with these tokens. The message is the reason alone.
    """
    from transformers import AutoTokenizer  # a heavy library: imported where the work begins

    old = tokenizer.get_vocab()
    ids = {token: new for new, token in enumerate(sorted(kept, key=lambda token: old[token]))}
    content = as_json(tokenizer)
    TOKEN_MODELS[content["model"]["type"]](content["model"]).keep(ids)
    for added in content["added_tokens"]:
        added["id"] = ids[added["content"]]
    if content["padding"] is not None:
        content["padding"]["pad_id"] = ids[content["padding"]["pad_token"]]
    content["post_processor"] = renumbered(content["post_processor"], ids)
    with tempfile.TemporaryDirectory(prefix="effcomp-") as scratch:
        tokenizer.save_pretrained(scratch)
        (Path(scratch) / TOKENIZER_FILE).write_text(json.dumps(content, ensure_ascii=False))
        found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(scratch)
    if found.get_vocab() != ids:
        raise UserError(f"{TOKENIZER_FILE} with fewer tokens does not load as {type(tokenizer).__name__}")
    found.padding_side, found.model_input_names = tokenizer.padding_side, tokenizer.model_input_names
    return found


def renumbered(node: Any, ids: Mapping[str, int]) -> Any:
    """Return a post-processor with the new ids: it has them beside tokens (`["[SEP]", 102]`, or `ids` and `tokens`)."""
    if isinstance(node, dict):
        found = {name: renumbered(value, ids) for name, value in node.items()}
        return found | {"ids": [ids[token] for token in node["tokens"]]} if "tokens" in node else found
    if isinstance(node, list):
        if len(node) == 2 and isinstance(node[0], str) and isinstance(node[1], int):
            return [node[0], ids[node[0]]]
        return [renumbered(value, ids) for value in node]
    return node


def keep_tokens(model: "PreTrainedModel", before: "PreTrainedTokenizerBase", after: "PreTrainedTokenizerBase") -> None:
    """Keep the rows of the embeddings, and of the output matrix of a decoder, that the second tokenizer has, in place.

    The ids in the config become the new ones, or None for a token that is gone.
    """
    import torch
    from transformers import GenerationConfig

    whole, vocabulary = before.get_vocab(), after.get_vocab()
    old = [whole[token] for token in sorted(vocabulary, key=lambda token: vocabulary[token])]
    rows, ids = torch.tensor(old), {number: new for new, number in enumerate(old)}
    with torch.no_grad():
        for parameter in tables(model):
            parameter[: len(rows)] = parameter[rows]
    pad = model.get_input_embeddings().padding_idx
    model.get_input_embeddings().padding_idx = None  # resizing would compare the old id with the new size
    model.resize_token_embeddings(len(rows), mean_resizing=False)
    model.get_input_embeddings().padding_idx = ids.get(pad)
    renumber_config(model.config, ids)
    if model.can_generate():
        # Its other fields say how to sample; once an id has changed, transformers refuses to write some of them.
        named = {name: value for name, value in vars(model.generation_config).items() if name.endswith("token_id")}
        model.generation_config = GenerationConfig(**named)
        renumber_config(model.generation_config, ids)


def tables(model: "PreTrainedModel") -> "list[nn.Parameter]":
    """Return every parameter with a row for each token, tied ones once."""
    modules = [model.get_input_embeddings(), model.get_output_embeddings()]
    found = [parameter for module in modules if module is not None for parameter in module.parameters()]
    return list({id(parameter): parameter for parameter in found}.values())


def renumber_config(config: "PretrainedConfig | Any", ids: Mapping[int, int]) -> None:
    """Give every setting that names a token its new id, in place."""
    for name, value in list(vars(config).items()):
        if name.endswith("token_id") and isinstance(value, list):
            setattr(config, name, [ids[one] for one in value if one in ids])
        elif name.endswith("token_id") and value is not None:
            setattr(config, name, ids.get(value))
