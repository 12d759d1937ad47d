"""A source of pretrained weights, and the model built from it."""

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from effcomp.errors import UserError
from effcomp.part import Part

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CONFIG_FILE = "config.json"


class Model(Part):
    path: Path | None = None
    """A folder written by save_pretrained (config, tokenizer, safetensors) to use instead of the source."""

    weights: Literal["pretrained", "random"] = "pretrained"
    """`random` builds the architecture alone: real speed and memory; quality is then not measured."""

    @abstractmethod
    def source(self) -> Path:
        """The folder the source offers, found without loading anything.

        Raises:
            UserError: the source is not installed or not reachable.
        """

    @abstractmethod
    def verify(self, folder: Path) -> None:
        """Refuse weights that are not the pinned ones. Called before they are loaded."""

    def folder(self) -> Path:
        """The folder with config.json, the tokenizer and the weights.

        Raises:
            UserError: it does not exist, or lacks what is needed.
        """
        if self.path is None:
            return self.source()
        if not (self.path / CONFIG_FILE).is_file():
            raise UserError(f"model.path={self.path} has no {CONFIG_FILE}: give a folder written by save_pretrained")
        if self.weights == "pretrained" and not any(self.path.glob("*.safetensors")):
            raise UserError(
                f"model.path={self.path} has no .safetensors file: save the model with save_pretrained, "
                "or use model.weights=random"
            )
        return self.path

    def identity(self) -> dict[str, Any]:
        """What determines the weights: the checksum of each file of the folder, or the config and the seed."""
        from effcomp.store import file_sha256

        folder = self.folder()
        if self.weights == "random":
            return {"weights": "random", "config": file_sha256(folder / CONFIG_FILE)}
        files = sorted(file for file in folder.iterdir() if file.suffix in {".safetensors", ".json", ".txt"})
        return {"weights": "pretrained", "files": {file.name: file_sha256(file) for file in files}}

    def tokenizer(self) -> "PreTrainedTokenizerBase":
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.folder())

    def classifier(self, labels: tuple[str, ...], seed: int) -> "PreTrainedModel":
        """The model with a new classification head, float32.

        The head (and with weights=random everything) is initialised from `seed`.
        """
        from transformers import AutoConfig, AutoModelForSequenceClassification, set_seed

        set_seed(seed)
        folder = self.folder()
        config = AutoConfig.from_pretrained(
            folder, id2label=dict(enumerate(labels)), label2id={label: i for i, label in enumerate(labels)}
        )
        if self.weights == "random":
            return AutoModelForSequenceClassification.from_config(config)
        if self.path is None:
            self.verify(folder)
        return AutoModelForSequenceClassification.from_pretrained(folder, config=config, dtype="float32")


def load_checkpoint(folder: Path) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """The classifier (float32) and the tokenizer of a folder written by save_pretrained."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype="float32")
    return model, AutoTokenizer.from_pretrained(folder)
