"""Models of the Hugging Face Hub, at a commit.

Config and tokenizer are fetched and checked first, the weights after them: a model that cannot be used is refused
before its gigabytes arrive.
"""

import json
import logging
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator

from effcomp.core.code_key import code_key
from effcomp.core.errors import UserError
from effcomp.core.hub.repository import Repository, commit, named
from effcomp.core.store import Store
from effcomp.models.base import WAYS_ON, Model
from effcomp.models.folder import (
    ADAPTER_FILE,
    CONFIG_FILE,
    MERGE,
    VOCABULARIES,
    check_finite,
    check_folder,
    check_head,
    check_headers,
    has_vocabulary,
    other_weights,
    read_config,
)
from effcomp.models.heads import Head, Kind

log = logging.getLogger(__name__)

TEXT_FILES = (
    *(CONFIG_FILE, "generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("merges.txt", "chat_template.jinja", *VOCABULARIES),
    *("bpe.codes", "emoji.json", "entity_vocab.json", "word_shape.json", "word_pronunciation.json"),
)
"""Patterns of a model's files beside its weights, at the top of the repository."""
ALWAYS_ASKED = ("tokenizer.json", "tokenizer_config.json")
"""Files that transformers asks for whenever it loads a tokenizer: the cache knows whether the repository has them."""
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
"""The shard of each tensor, where the weights are in several files."""


class HubModel(Model):
    """Model of the Hugging Face Hub, at a pinned commit."""

    id: ClassVar[str] = "model/hub"
    repository: Annotated[str, AfterValidator(named)]
    """Repository on the Hugging Face Hub, `ORG/NAME`."""
    revision: str | None
    """Commit, branch or tag; null: the default branch. It is resolved to its commit when the run begins, and the commit
    is recorded. The choices that come with effcomp name a commit: a branch can change under a measurement."""

    @property
    def at_commit(self) -> Repository:
        ways_on = f"model={self.name}: {WAYS_ON}"
        return Repository(self.repository, "model", commit(self.repository, "model", self.revision, ways_on), ways_on)

    @property
    def model_type(self) -> str | None:
        if self.path is not None or self.without_source:
            return super().model_type
        found: str = read_config(fetch_texts(self.at_commit), f"model={self.name}, folder")["model_type"]
        return found

    def pinned(self) -> Self:
        if self.path is not None or self.without_source:
            return self
        return self.model_copy(update={"revision": self.at_commit.commit})

    def check(self, head: Head, *, as_it_is: bool) -> None:
        super().check(head, as_it_is=as_it_is)
        if self.path is None and not self.without_source:
            self.check_files(head)

    def check_source(self) -> None:
        """Do nothing: `check_files` checks the source, for the head that is wanted."""

    def check_files(self, head: Head) -> None:
        """Fetch what is missing, the weights last.

        Raises:
            UserError: a file cannot be had, or the model cannot be used.
        """
        folder = fetch_texts(self.at_commit)
        whose = f"model={self.name}, folder"
        config, tokenizer = check_folder(folder, whose, weights=False)
        check_head(folder, whose, head, config, tokenizer)
        self.source_folder()
        if self.weights == "pretrained":
            for file in fetch_weights(self.at_commit):
                check_finite(file, f"model={self.name}, {self.at_commit.address}")

    def source(self, store: Store) -> Path:
        return self.source_folder()

    def files(self, folder: Path) -> list[Path]:
        """Return the files that are read: another program may have fetched others of the commit into the cache."""
        if self.path is not None:
            return super().files(folder)
        index = folder / INDEX_FILE
        shards = shards_of(index) if index.is_file() and not (folder / WEIGHTS_FILE).is_file() else [WEIGHTS_FILE]
        return [file for file in super().files(folder) if is_text(file.name) or file.name in shards]

    def source_folder(self) -> Path:
        """Return the commit's folder in the cache, with config, tokenizer, and the weights where they are used."""
        folder = fetch_texts(self.at_commit)
        if self.weights == "pretrained":
            packed = "quantization_config" in read_config(folder, f"model={self.name}, folder")
            way_on = "delete it, and it is fetched again"
            check_headers(fetch_weights(self.at_commit), str(self.at_commit.address), way_on, packed=packed)
        return folder


class AnyHubModel(HubModel):
    """A model that the command names (`model.repository=ORG/NAME`); its kind is read from its config."""

    id: ClassVar[str] = "model/any_hub"
    kind: Kind = "encoder"
    """Family of the architecture; read from the config of the repository."""

    def pinned(self) -> Self:
        from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as WRITERS
        from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as FILLERS

        writes = self.model_type in WRITERS and self.model_type not in FILLERS
        return super().pinned().model_copy(update={"kind": "decoder" if writes else "encoder"})


class PackedBitNet(HubModel):
    """BitNet's published ternary weights; unpacked once into float, and kept in the store."""

    id: ClassVar[str] = "model/packed_bitnet"

    def source(self, store: Store) -> Path:
        from effcomp.models import bitnet

        packed = self.source_folder()
        key = {"repository": self.repository, "revision": self.revision, "code": code_key(bitnet.__name__)}
        return store.get("converted", key, lambda folder: bitnet.unpack_folder(packed, folder)).path


def fetch_texts(repository: Repository) -> Path:
    """Return the commit's folder, with everything but the weights in it.

    Raises:
        UserError: the repository has no config, or a file cannot be had.
    """
    names = file_names(repository)
    if CONFIG_FILE not in names:
        kind = f"an adapter alone; {MERGE}" if ADAPTER_FILE in names else "no model of transformers"
        raise UserError(f"{repository.address} has no {CONFIG_FILE}, so it is {kind}; or {repository.ways_on}")
    if ADAPTER_FILE in names:
        reason = f"holds an adapter beside its weights ({ADAPTER_FILE})"
        raise UserError(f"{repository.address} {reason}; {MERGE}; or {repository.ways_on}")
    return repository.fetch(filter(is_text, names))


def is_text(name: str) -> bool:
    """Tell whether a file of a model is config or tokenizer."""
    return any(fnmatch(name, pattern) for pattern in TEXT_FILES)


def fetch_weights(repository: Repository) -> list[Path]:
    """Return the files of the weights.

    Raises:
        UserError: the repository has no safetensors, or a file cannot be had.
    """
    names = file_names(repository)
    if WEIGHTS_FILE in names:
        shards = [WEIGHTS_FILE]
    elif INDEX_FILE in names:
        shards = shards_of(repository.fetch([INDEX_FILE]) / INDEX_FILE)
    else:
        raise UserError(f"{repository.address} {other_weights(names)}; or {repository.ways_on}")
    folder = repository.fetch(shards)
    return [folder / name for name in shards]


def shards_of(index: Path) -> list[str]:
    """Return the names of the files that hold the weights.

    Raises:
        UserError: the index is not what save_pretrained writes.
    """
    try:
        return sorted(set(json.loads(index.read_text())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{index} names no weights ({type(error).__name__}): give a model with whole files") from error


@cache
def file_names(repository: Repository) -> set[str]:
    """Return the names of the repository's files, or of those in the cache when these are a whole model.

    Raises:
        UserError: the Hub gives no list, and the cache has no whole model.
    """
    try:
        return set(repository.listing())
    except UserError:
        if not is_whole(repository):
            raise
        log.warning("%s: the Hub gives no list of files; using those in the cache", repository.address)
        return {file.name for file in repository.folder.iterdir() if file.is_file()}


def is_whole(repository: Repository) -> bool:
    """Tell whether the cache holds config, tokenizer and weights, as far as that can be known without a list of files.

    Another program that loaded the tokenizer left a mark in the cache for each file that it asked for in vain.
    """
    from huggingface_hub import try_to_load_from_cache

    folder = repository.folder
    known = all(
        try_to_load_from_cache(repository.name, name, revision=repository.commit) is not None for name in ALWAYS_ASKED
    )
    weights = [folder / WEIGHTS_FILE]
    if (folder / INDEX_FILE).is_file():
        weights = [folder / name for name in shards_of(folder / INDEX_FILE)]
    return known and has_vocabulary(folder) and all(file.is_file() for file in (folder / CONFIG_FILE, *weights))
