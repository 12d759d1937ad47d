"""Base class of sources of pretrained weights, and the models built from them."""

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from effcomp.core.checksum import contents_sha256
from effcomp.core.component import Component
from effcomp.core.errors import UserError, first_line
from effcomp.core.store import MANIFEST, Store
from effcomp.models.folder import (
    check_folder,
    check_head,
    has_vocabulary,
    plain_config,
    read_config,
    refuse_quantized,
)
from effcomp.models.heads import Head, Kind, longest_sequence, model_class
from effcomp.models.labels import labels_order
from effcomp.models.reconcile import load_tokenizer, load_weights, settle_pad_id
from effcomp.models.weights import check_weights

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


WEIGHTS = {".safetensors", ".bin", ".gguf", ".h5", ".onnx"}
WAYS_ON = "use model.path=FOLDER, an installed model (model=minilm or model=smollm2), or model.weights=random"


class Model(Component):
    """Base class of sources of pretrained weights. To add one: a subclass with `source` and `check_source`,
    conf/model/<name>.yaml, a test."""

    kind: Kind
    """Family of the architecture."""
    path: Path | None = None
    """Folder with a model of your own, written by save_pretrained; it replaces these weights. It holds the config, the
    tokenizer and safetensors."""

    weights: Literal["pretrained", "random"] = "pretrained"
    """`random` builds the architecture alone; quality is then not measured. Speed and memory are real."""

    architecture: dict[str, Any] | None = None
    """Config of a model with weights=random, where the source cannot give it; includes `model_type`."""

    @abstractmethod
    def source(self, store: Store) -> Path:
        """Return the source as a folder written by save_pretrained; may take time, and keeps what it made in the store.

        Raises:
            UserError: the source is not installed or not reachable, or its weights are not the pinned ones.
        """

    @abstractmethod
    def check_source(self) -> None:
        """Raise UserError when the source cannot be had; takes seconds at most."""

    def pinned(self) -> Self:
        """Return the choice with its revision resolved to a commit, where it names one.

        Raises:
            UserError: there is no such revision, or the Hub cannot be asked.
        """
        return self

    def check(self, head: Head, *, as_it_is: bool) -> None:
        """Raise UserError when the model cannot be had; takes seconds at most.

        Args:
            as_it_is: the model will not be trained.
        """
        if self.path is not None:
            setting, pretrained = "model.path", self.weights == "pretrained"
            config, tokenizer = check_folder(self.path, setting, weights=pretrained)
            check_head(self.path, setting, head, config, tokenizer)
            if pretrained:
                check_weights(self.path, f"{setting}={self.path}", head, config, as_it_is=as_it_is)
        elif self.without_source:
            self.check_architecture(head)
        else:
            self.check_source()

    def check_architecture(self, head: Head) -> None:
        """Build the model once, without memory for its weights; raise UserError where transformers cannot."""
        import torch
        from transformers import AutoConfig

        assert self.architecture is not None, "without_source says there is one"
        try:
            config = AutoConfig.for_model(**self.architecture)
            with torch.device("meta"):
                model_class(head, config)(config)
        except Exception as error:  # whatever a wrong field makes transformers raise
            raise UserError(f"model.architecture: {first_line(error)}; give what transformers builds") from error

    @property
    def without_source(self) -> bool:
        """Tell whether the architecture alone is enough: random weights, and their config is in the YAML."""
        return self.path is None and self.weights == "random" and self.architecture is not None

    @property
    def model_type(self) -> str | None:
        """Return transformers' name of the architecture; None where neither the path nor the YAML states it."""
        if self.path is not None:
            found: str = read_config(self.path, "model.path")["model_type"]
            return found
        return self.architecture["model_type"] if self.architecture is not None else None

    def folder(self, store: Store) -> Path | None:
        """Return the folder with config.json, tokenizer and weights; None when the architecture alone is used."""
        if self.without_source:
            return None
        return self.path or self.source(store)

    def files(self, folder: Path) -> list[Path]:
        """Return the files of the model's folder that tokens and weights may depend on."""
        return [file for file in folder.iterdir() if file.is_file() and file.name != MANIFEST]

    def identity(self, store: Store) -> dict[str, Any]:
        """Return all that determines tokens and weights: the checksum of each file of the folder (for random weights
        without the weights; those come from the seed), or the architecture.
        """
        folder = self.folder(store)
        if folder is None:
            return {"weights": "random", "architecture": self.architecture}
        files = sorted(self.files(folder))
        if self.weights == "random":
            files = [file for file in files if file.suffix not in WEIGHTS]
        return {"weights": self.weights, "files": {file.name: contents_sha256(file) for file in files}}

    def config(self, store: Store) -> "PretrainedConfig":
        from transformers import AutoConfig

        folder = self.folder(store)
        if folder is None:
            assert self.architecture is not None, "without_source says there is one"
            return AutoConfig.for_model(**self.architecture)
        return float_config(folder)

    def tokenizer(self, store: Store) -> "PreTrainedTokenizerBase | None":
        """Return the tokenizer, with a padding token; None when the architecture alone is used."""
        folder = self.folder(store)
        return None if folder is None else load_tokenizer(folder, self.config(store))

    def labels_order(self, labels: tuple[str, ...], store: Store) -> list[int]:
        """Return the model's class for each of the task's labels, for a model that is used as it is.

        Raises:
            UserError: the model has learned other labels.
        """
        way_on = "use a classifier of this task (model.path=FOLDER) or finetune=full"
        return labels_order(self.config(store), labels, "finetune=none: the labels of this model", way_on)

    def check_trained(self, head: Head, store: Store) -> None:
        """Raise UserError when a model that is used as it is has no weights for this head; none is read."""
        folder, config = self.folder(store), self.config(store)
        assert folder is not None, "random weights are not asked"
        if self.path is None:  # else `check` has looked
            check_weights(folder, f"model={self.name}", head, config, as_it_is=True)

    def build(
        self, head: Head, labels: tuple[str, ...], seed: int, store: Store, *, as_it_is: bool
    ) -> "PreTrainedModel":
        """Return the model with a head, float32. A new head (and with weights=random everything) comes from `seed`.

        Args:
            labels: the names of the classes, in the order of the logits; () for language modelling.
            as_it_is: the model will not be trained: its head must be there.

        Raises:
            UserError: as_it_is, and the head is missing; or the weights are not those of the config.
        """
        from transformers import set_seed

        set_seed(seed)
        config, tokenizer = self.config(store), self.tokenizer(store)
        if labels:
            config.id2label = dict(enumerate(labels))
            config.label2id = {label: i for i, label in enumerate(labels)}
            config.problem_type = "single_label_classification"
        settle_pad_id(config, tokenizer)
        folder = self.folder(store)
        if folder is None or self.weights == "random":
            return model_class(head, config)(config)
        whose = f"model={self.name}" if self.path is None else f"model.path={self.path}"
        return load_weights(folder, head, config, whose, as_it_is=as_it_is)


def check_another(folder: Path, setting: str, head: Head, max_length: int, called: str) -> "PretrainedConfig":
    """Check that a second model of a task has its head and reads texts as long; return its config. `Model.check` or the
    like has read its weights.

    Args:
        setting: that names the folder, for the message.
        called: the kind of model that it is, for the message: `teacher`.

    Raises:
        UserError: it has no such head, or reads fewer tokens.
    """
    config, tokenizer = check_folder(folder, setting, weights=False)
    check_head(folder, setting, head, config, tokenizer)
    longest = longest_sequence(config.to_dict())
    if longest is not None and longest < max_length:
        reason = f"task.max_length={max_length}: {setting}={folder} reads at most {longest} tokens"
        raise UserError(f"{reason}; give at most {longest}, or another {called}")
    return config


def float_config(folder: Path) -> "PretrainedConfig":
    """Return the config of a folder that holds float weights.

    Raises:
        UserError: its weights are quantized already.
    """
    config = plain_config(folder)
    if (quantized := getattr(config, "quantization_config", None)) is not None:
        refuse_quantized(quantized, str(folder))
        del config.quantization_config  # its layers are ours: effcomp.models.bitnet
    return config


def load_checkpoint(folder: Path, head: Head) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase | None]":
    """Load the float32 model and the tokenizer, where there is one, of a folder written by save_pretrained."""
    config = float_config(folder)
    tokenizer = load_tokenizer(folder, config) if has_vocabulary(folder) else None
    model = load_weights(folder, head, config, str(folder), as_it_is=False)
    if tokenizer is not None:  # after the weights: the embedding of a pad id that it is made with learns nothing
        settle_pad_id(model.config, tokenizer)
    return model, tokenizer
