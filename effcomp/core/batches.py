"""Token sequences of different lengths, in one file, and padded batches of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LABELS = "labels"
IGNORED = -100
"""Label of a position that is not predicted, as in torch.nn.functional.cross_entropy."""
Batch = dict[str, NDArray[np.int64]]
"""The arguments of a forward pass: input_ids, attention_mask, ..., each (batch, longest), int64."""


@dataclass(frozen=True)
class Ragged:
    """Columns of token ids (input_ids, attention_mask, token_type_ids), all cut at the same offsets."""

    columns: dict[str, NDArray[np.int32]]
    """Flat array of each column: the sequences one after another."""
    offsets: NDArray[np.int64]
    """Sequence i is [offsets[i], offsets[i + 1])."""
    padding: dict[str, int]
    """The value that fills a column up to the longest sequence of a batch."""
    left: bool = False
    """Pad before the tokens: for a model that reads the last position of a batch, which must then hold a token."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.offsets)

    @property
    def has_labels(self) -> bool:
        """Tell whether a column marks the tokens to predict, as language modelling has it."""
        return LABELS in self.columns

    def batch(self, indices: Sequence[int] | NDArray[np.int64], *, labels: bool = False, left: bool = False) -> Batch:
        """Return these sequences, padded to the longest of them, int64 (sequences, longest).

        Args:
            labels: include the labels.
            left: pad on the left for every model; generation continues the last position.
        """
        width = int(self.lengths[indices].max())
        names = [name for name in self.columns if labels or name != LABELS]
        batch = {name: np.full((len(indices), width), self.padding[name], dtype=np.int64) for name in names}
        for row, index in enumerate(indices):
            start, end = self.offsets[index], self.offsets[index + 1]
            for name in names:
                first = width - (end - start) if left or self.left else 0
                batch[name][row, first : first + end - start] = self.columns[name][start:end]
        return batch

    def cut(self, length: int) -> "Ragged":
        """Return the tokens concatenated and cut into sequences of exactly this length.

        Raises:
            ValueError: there are fewer tokens than that.
        """
        count = int(self.offsets[-1]) // length
        if count == 0:
            raise ValueError(f"there are {int(self.offsets[-1])} tokens, fewer than {length}")
        return Ragged(self.columns, np.arange(count + 1, dtype=np.int64) * length, self.padding, self.left)

    def save(self, file: Path) -> None:
        from safetensors.numpy import save_file

        padding = np.array([self.padding[name] for name in sorted(self.columns)], dtype=np.int64)
        side = np.array([self.left])
        save_file({**self.columns, "offsets": self.offsets, "padding": padding, "left": side}, file)

    @classmethod
    def load(cls, file: Path) -> "Ragged":
        from safetensors.numpy import load_file

        arrays = load_file(file)
        offsets, padding, left = (arrays.pop(name) for name in ("offsets", "padding", "left"))
        return cls(arrays, offsets, dict(zip(sorted(arrays), padding.tolist(), strict=True)), bool(left[0]))


def pack(sequences: dict[str, list[list[int]]], padding: dict[str, int], *, left: bool = False) -> Ragged:
    """Return ragged columns of lists of token ids; every column has the same lengths."""
    lengths = [len(sequence) for sequence in sequences["input_ids"]]
    return Ragged(
        columns={
            name: np.fromiter((token for sequence in rows for token in sequence), np.int32, sum(lengths))
            for name, rows in sequences.items()
        },
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        padding={name: padding[name] for name in sequences},
        left=left,
    )


def batches_by_length(lengths: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    """Return the indices of all sequences in batches of similar length, longest first: a batch that is too large for
    the memory fails at once.
    """
    order = np.argsort(-lengths, kind="stable")
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
