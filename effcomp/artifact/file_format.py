"""Base class of the file formats that hold a compressed model."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from effcomp.artifact.agreement import ReferenceAnswer
from effcomp.core.batches import Batch
from effcomp.models.heads import Head
from effcomp.quant.base import Quant

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

POSITIONS = "positions"
"""Input of a graph that predicts the next token: the positions whose logits it computes, (positions,) int64. A server
needs the last one only, which saves most of the work of a large vocabulary."""


def with_positions(batch: Batch, head: Head, positions: NDArray[np.int64]) -> Batch:
    """Return a batch as a graph takes it. For a model that predicts the next token it has the positions, each token's
    place in its text (`position_ids`; padding does not count), and the row that each goes on from (`beam_idx`)."""
    if head != "causal_lm":
        return batch
    places = np.maximum(batch["attention_mask"].cumsum(axis=1) - 1, 0)
    return {**batch, POSITIONS: positions, "position_ids": places, "beam_idx": np.arange(len(places))}


def every_position(batch: Batch, head: Head, names: set[str]) -> Batch:
    """Return the inputs of these names that give the logits of every position."""
    given = with_positions(batch, head, np.arange(batch["input_ids"].shape[1]))
    return {name: ids for name, ids in given.items() if name in names}


@dataclass(frozen=True)
class Source:
    """Model that an artifact's weights are written from."""

    model: "PreTrainedModel"
    """In float32 and in eval mode."""
    tokenizer: "PreTrainedTokenizerBase | None"
    head: Head
    columns: tuple[str, ...]
    """Names of the model's inputs: input_ids, attention_mask, ..."""
    references: list[ReferenceAnswer]
    """A few examples with the checkpoint's own logits, which the float32 model that is written must reproduce."""


class FileFormat(ABC):
    """Base class of file formats. A number format has a lowering for the kind of file (effcomp.quant.lowering)."""

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()
    """Libraries that writing it needs, by import name."""
    exports: ClassVar[bool] = False
    """True for a graph: `export` writes it in float32, and `write` rewrites it into a number format."""

    def export(self, source: Source, folder: Path) -> None:  # noqa: B027
        """Write the float32 graph into the folder, where the format is one.

        Raises:
            UserError: it does not compute what the model computes.
        """

    @abstractmethod
    def write(self, source: Source, quant: Quant, samples: list[Batch], folder: Path) -> None:
        """Write the weights into the folder, in this number format.

        Args:
            folder: has the float32 graph, where the format is one.
            samples: `quant.calibration_samples` training examples, each a batch of one.
        """

    def check_model(self, config: "PretrainedConfig", head: Head, reshaped: bool) -> None:  # noqa: B027
        """Raise Skipped when the format cannot hold a model; most hold any.

        Args:
            reshaped: whether pruning will remove heads and neurons.
        """

    @abstractmethod
    def files(self, folder: Path) -> list[Path]:
        """Return the files that `write` wrote."""

    @abstractmethod
    def bytes_read(self, folder: Path) -> int:
        """Return the stored bytes that every call has to read.

        All weights count but the embedding tables, of which a call reads a few rows; a table that is also the head of a
        language model is read whole.
        """

    def weights_bytes(self, folder: Path) -> int:
        """Return the size of the stored weights in bytes."""
        return sum(file.stat().st_size for file in self.files(folder))
