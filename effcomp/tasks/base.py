"""Text classification: examples, splits, and how they become token ids."""

from abc import abstractmethod
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from effcomp.errors import UserError
from effcomp.part import Part
from effcomp.ragged import Ragged, pack

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Examples:
    texts: tuple[str, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Splits:
    train: Examples
    test: Examples
    label_names: tuple[str, ...]

    def fingerprint(self) -> str:
        """The sha256 of every text, label and label name, in their order: equal only for the same split."""
        digest = sha256()
        for part in (self.train, self.test):
            for text, label in zip(part.texts, part.labels, strict=True):
                digest.update(f"{label}\t{text}\n".encode())
            digest.update(b"\0")
        digest.update("\t".join(self.label_names).encode())
        return digest.hexdigest()


class ClassificationTask(Part):
    max_length: Annotated[int, Field(ge=4)]
    """Longer texts are cut to this many tokens."""
    data_dir: Path | None = None
    """A folder with the files as published, to use instead of the task's own source."""

    @abstractmethod
    def check(self) -> None:
        """Raise UserError when the data cannot be had; takes no time."""

    @abstractmethod
    def load(self) -> Splits:
        """The train and test examples, the same at every call."""


def encode(examples: Examples, tokenizer: "PreTrainedTokenizerBase", max_length: int) -> Ragged:
    """Token ids of each text, cut to max_length, with the padding that the tokenizer's model expects."""
    encoded = tokenizer(list(examples.texts), truncation=True, max_length=max_length)
    padding = {"input_ids": tokenizer.pad_token_id or 0, "attention_mask": 0, "token_type_ids": 0}
    return pack({name: encoded[name] for name in tokenizer.model_input_names}, padding)


def stratified_split(
    texts: list[str], labels: list[int], test_size: int, seed: int, source: str
) -> tuple[Examples, Examples]:
    """Split once into train and test: seeded, stratified by label, duplicates on one side.

    Two texts are duplicates when their letters and digits are equal, whatever the case.

    Raises:
        UserError: there are not enough distinct texts for the test split.
    """
    from sklearn.model_selection import train_test_split

    groups: dict[str, list[int]] = {}
    for index, text in enumerate(texts):
        groups.setdefault("".join(filter(str.isalnum, text.casefold())), []).append(index)
    if len(groups) < test_size + len(set(labels)):
        raise UserError(f"{source} has {len(groups)} distinct texts: too few for a test split of {test_size}")
    members = list(groups.values())
    sides = train_test_split(
        members,
        test_size=test_size,
        random_state=seed,
        stratify=[Counter(labels[i] for i in group).most_common(1)[0][0] for group in members],
    )
    train, test = (
        Examples(tuple(texts[i] for i in indices), tuple(labels[i] for i in indices))
        for indices in ([i for group in side for i in group] for side in sides)
    )
    return train, test
