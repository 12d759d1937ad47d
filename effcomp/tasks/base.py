"""What a task gives: examples in splits, and how a tokenizer turns them into token ids."""

from abc import abstractmethod
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from effcomp.errors import UserError
from effcomp.heads import Objective
from effcomp.part import Part
from effcomp.ragged import Ragged, pack

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Examples:
    """Texts with what belongs to them. Language modelling has texts (documents) alone."""

    texts: tuple[str, ...]
    labels: tuple[int, ...] = ()
    pairs: tuple[str, ...] = ()
    """The second sentence of each example, or nothing."""
    groups: tuple[str, ...] = ()
    """What each example is counted under, beside the whole: its language, or nothing."""

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: list[int]) -> "Examples":
        """These examples, in this order."""
        return Examples(
            tuple(self.texts[i] for i in indices),
            tuple(self.labels[i] for i in indices) if self.labels else (),
            tuple(self.pairs[i] for i in indices) if self.pairs else (),
            tuple(self.groups[i] for i in indices) if self.groups else (),
        )


@dataclass(frozen=True)
class Splits:
    train: Examples
    test: Examples
    label_names: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """The sha256 of every text, label, pair and group in their order: equal only for the same split."""
        digest = sha256()
        for part in (self.train, self.test):
            for column in (part.texts, part.labels, part.pairs, part.groups):
                for value in column:
                    digest.update(f"{value}\0".encode())
                digest.update(b"\1")
        digest.update("\t".join(self.label_names).encode())
        return digest.hexdigest()


class Task(Part):
    objective: ClassVar[Objective]
    max_length: Annotated[int, Field(ge=4)]
    """Tokens: longer texts are cut; documents of language modelling are packed into blocks of this length."""
    data_dir: Path | None = None
    """A folder with the files as published, to use instead of the task's own source."""

    @abstractmethod
    def check(self) -> None:
        """Raise UserError when the data cannot be had; takes no time."""

    @abstractmethod
    def load(self) -> Splits:
        """The train and test examples, the same at every call."""


def encode(examples: Examples, tokenizer: "PreTrainedTokenizerBase", max_length: int) -> Ragged:
    """Token ids of each text (and its pair), cut to max_length, with the padding that the model expects."""
    encoded = tokenizer(list(examples.texts), list(examples.pairs) or None, truncation=True, max_length=max_length)
    padding = {"input_ids": tokenizer.pad_token_id or 0, "attention_mask": 0, "token_type_ids": 0}
    return pack({name: encoded[name] for name in tokenizer.model_input_names}, padding)


def stratified_split(examples: Examples, test_size: int, seed: int, source: str) -> tuple[Examples, Examples]:
    """Split once into train and test: seeded, stratified by label where there are labels, duplicates on one side.

    Two texts are duplicates when their letters and digits are equal, whatever the case.

    Raises:
        UserError: there are not enough distinct texts for the test split.
    """
    from sklearn.model_selection import train_test_split

    groups: dict[str, list[int]] = {}
    for index, text in enumerate(examples.texts):
        groups.setdefault("".join(filter(str.isalnum, text.casefold())), []).append(index)
    labels = examples.labels or (0,) * len(examples)
    if len(groups) < test_size + len(set(labels)):
        raise UserError(f"{source} has {len(groups)} distinct texts: too few for a test split of {test_size}")
    members = list(groups.values())
    train, test = train_test_split(
        members,
        test_size=test_size,
        random_state=seed,
        stratify=[Counter(labels[i] for i in group).most_common(1)[0][0] for group in members],
    )
    first, second = (examples.take([i for group in side for i in group]) for side in (train, test))
    return first, second
