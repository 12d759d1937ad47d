"""Base class of tasks: examples in splits, and their encoding as token ids."""

import logging
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Self

from pydantic import Field

from effcomp.core.batches import Ragged, pack
from effcomp.core.component import Component
from effcomp.core.errors import UserError
from effcomp.core.store import Store
from effcomp.models.heads import Problem
from effcomp.tasks.signature import Signature

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


log = logging.getLogger(__name__)

SLICE_SEED = 0
"""Seed of the order that slices of the test are cut from; fixed so that all runs share it."""


@dataclass(frozen=True)
class Examples:
    """Texts with their labels, pairs, groups and references. Language modelling has texts (documents) alone."""

    texts: tuple[str, ...]
    labels: tuple[int, ...] = ()
    pairs: tuple[str, ...] = ()
    """Second sentence of each example; () for a task of single texts."""
    groups: tuple[str, ...] = ()
    """Group of each example (its language), with results of its own; () for a task without groups."""
    references: tuple[str, ...] = ()
    """Reference continuation of each prompt; () for a task that generates no text."""

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: list[int]) -> "Examples":
        """Return the examples with these indices, in this order."""
        return Examples(
            tuple(self.texts[i] for i in indices),
            tuple(self.labels[i] for i in indices) if self.labels else (),
            tuple(self.pairs[i] for i in indices) if self.pairs else (),
            tuple(self.groups[i] for i in indices) if self.groups else (),
            tuple(self.references[i] for i in indices) if self.references else (),
        )

    def joined(self, others: "Examples") -> "Examples":
        """Return these examples, and others of the same kind after them."""
        return Examples(*(getattr(self, one.name) + getattr(others, one.name) for one in fields(self)))


class FileRows(NamedTuple):
    """Numbers of rows (or documents) of a file or folder: those read, and those used as examples."""

    file: Path
    read: int
    used: int


@dataclass(frozen=True)
class Splits:
    """Training and test examples, with the names of their labels."""

    train: Examples
    test: Examples
    label_names: tuple[str, ...] = ()
    rows: tuple[FileRows, ...] = ()
    """Numbers of rows of each file that was read; () for data of the Hub."""
    drawn: bool = False
    """True where the test was drawn from the same rows as the training, so that folds are cut from both."""
    default_names: tuple[str, ...] = ()
    """Labels that a model's default names (LABEL_0, LABEL_1, ...) stand for, in the task's own order; () for that of
    `label_names`."""

    def with_labels(self, order: list[int]) -> "Splits":
        """Return these splits with label i numbered order[i]."""
        names = [name for _, name in sorted(zip(order, self.label_names, strict=True))]
        train, test = (
            replace(part, labels=tuple(order[label] for label in part.labels)) for part in (self.train, self.test)
        )
        return replace(self, train=train, test=test, label_names=tuple(names), default_names=self.label_names)

    def fold(self, folds: int, fold: int) -> "Splits":
        """Return the splits of a cross-validation: one fold of the training examples, or of all where the test is drawn
        from the same rows, is the test.

        Raises:
            UserError: a label has fewer distinct texts than there are folds.
        """
        examples = self.train.joined(self.test) if self.drawn else self.train
        train, test = fold_split(examples, folds, fold)
        return replace(self, train=train, test=test)

    def fingerprint(self) -> str:
        """Return the sha256 of every text, label, pair, group and reference in their order: equal only for the same
        split.
        """
        return self.digest(self.train, self.test)

    def training_fingerprint(self) -> str:
        """Return the sha256 of all that a training depends on: the training examples and the labels."""
        return self.digest(self.train)

    def digest(self, *parts: Examples) -> str:
        digest = sha256()
        for part in parts:
            columns = (part.texts, part.labels, part.pairs, part.groups)
            for column in (*columns, part.references) if part.references else columns:
                for value in column:
                    digest.update(f"{value}\0".encode())
                digest.update(b"\1")
        digest.update("\t".join(self.label_names).encode())
        return digest.hexdigest()


class Task(Component):
    """Base class of tasks. To add one: conf/task/<name>.yaml (a table needs no class), or a subclass with `check` and
    `load`."""

    problem: ClassVar[Problem]
    max_length: Annotated[int, Field(ge=4)]
    """Maximum number of tokens: longer texts are cut, and documents of language modelling packed into such blocks."""
    data_dir: Path | None = None
    """Folder with the files as published, used instead of the task's own source."""

    def pinned(self) -> Self:
        """Return the choice with its revision resolved to a commit, where it names one.

        Raises:
            UserError: there is no such revision, or the Hub cannot be asked.
        """
        return self

    @abstractmethod
    def check(self) -> None:
        """Raise UserError when the data cannot be had; takes no time."""

    @abstractmethod
    def load(self) -> Splits:
        """Return the train and test examples, the same at every call."""

    def signature(self) -> Signature:
        """Return what a model of this task takes and answers."""
        return Signature(self.problem, self.max_length)

    def scoring_key(self, store: Store) -> dict[str, Any]:
        """Return the task's settings that change the scores, beside the data."""
        return {}


def subset(examples: Examples, count: int | None, seed: int) -> Examples:
    """Return `count` of the examples, drawn without replacement; all of them for None."""
    import numpy as np

    if count is None:
        return examples
    return examples.take(np.random.default_rng(seed).permutation(len(examples))[:count].tolist())


def test_slice(examples: Examples, ends: tuple[float, float]) -> Examples:
    """Return a part of the test examples: those between two shares of all in a random order that never changes. Slices
    that do not overlap share no example, nor a duplicate of one.
    """
    import numpy as np

    members, _ = distinct(examples)
    order = np.random.default_rng(SLICE_SEED).permutation(len(members))
    first, last = (round(end * len(members)) for end in ends)
    return examples.take(sorted(index for group in order[first:last] for index in members[group]))


def second_texts(pairs: Sequence[str], tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """Return the second text of each pair, told apart from the first.

    Where the tokenizer puts a special token between two texts (BERT's [SEP]), they stay unchanged. Where it puts none
    (GPT-2, GPT-Neo), each begins with a line break; without it premise and hypothesis would read as one sentence.
    """
    between = tokenizer.num_special_tokens_to_add(pair=True) > tokenizer.num_special_tokens_to_add(pair=False)
    return list(pairs) if between else [f"\n{text}" for text in pairs]


def encode(examples: Examples, tokenizer: "PreTrainedTokenizerBase", max_length: int) -> Ragged:
    """Return the columns of `token_columns` with the padding that the model expects."""
    padding = {
        "input_ids": tokenizer.pad_token_id or 0,
        "attention_mask": 0,
        "token_type_ids": tokenizer.pad_token_type_id,
    }
    columns = token_columns(examples, tokenizer, max_length)
    return pack(columns, padding, left=tokenizer.padding_side == "left")


def token_columns(
    examples: Examples, tokenizer: "PreTrainedTokenizerBase", max_length: int
) -> dict[str, list[list[int]]]:
    """Return the token ids of each text (and its pair), cut to max_length, and the masks beside them.

    A text that leaves no token is its end-of-text token: a model needs one to answer. The second text of a pair
    follows as `second_texts` says.
    """
    pairs = second_texts(examples.pairs, tokenizer) or None
    encoded = tokenizer(list(examples.texts), pairs, truncation=True, max_length=max_length)
    token = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.pad_token_id
    one = {"input_ids": token, "attention_mask": 1, "token_type_ids": 0}
    return {name: [row or [one[name]] for row in encoded[name]] for name in tokenizer.model_input_names}


def distinct(examples: Examples) -> tuple[list[list[int]], list[int]]:
    """Group the examples so that duplicates stay together; return the groups, and the commonest label of each (0
    without labels).

    Two texts are duplicates when their letters and digits are equal, whatever the case.
    """
    groups: dict[str, list[int]] = {}
    second = examples.pairs or ("",) * len(examples)
    for index, text in enumerate(map("\0".join, zip(examples.texts, second, strict=True))):
        groups.setdefault("".join(filter(str.isalnum, text.casefold())), []).append(index)
    labels = examples.labels or (0,) * len(examples)
    members = list(groups.values())
    return members, [Counter(labels[i] for i in group).most_common(1)[0][0] for group in members]


def stratified_split(examples: Examples, test_size: int, seed: int, source: str) -> tuple[Examples, Examples]:
    """Split once into train and test: seeded, stratified by label where there are labels, duplicates on one side.

    Raises:
        UserError: there are not enough distinct texts for the test split, of all labels or of one.
    """
    from sklearn.model_selection import train_test_split

    members, strata = distinct(examples)
    labels = Counter(strata)
    if not len(labels) <= test_size <= len(members) - len(labels) or min(labels.values()) < 2:
        rarest = f", {min(labels.values())} of the rarest label" if len(labels) > 1 else ""
        raise UserError(
            f"{source} has {len(members)} distinct texts{rarest}: too few for a test split of {test_size}; "
            "give a smaller one, or more texts"
        )
    train, test = train_test_split(members, test_size=test_size, random_state=seed, stratify=strata)
    first, second = (examples.take([i for group in side for i in group]) for side in (train, test))
    if abs(len(second) - test_size) > 0.1 * test_size:
        where = "equal texts stay on one side of the split"
        log.warning("%s: the test has %d of %d examples: %s", source, len(second), len(examples), where)
    return first, second


def fold_split(examples: Examples, folds: int, fold: int) -> tuple[Examples, Examples]:
    """Return train and test of one fold: stratified, duplicates on one side. Every example is tested in exactly one
    fold. The folds do not depend on the run's seed.

    Raises:
        UserError: a label has fewer distinct texts than there are folds.
    """
    from sklearn.model_selection import StratifiedKFold

    members, strata = distinct(examples)
    rarest = min(Counter(strata).values())
    if rarest < folds:
        raise UserError(f"folds={folds}: the rarest label has {rarest} distinct training texts")
    splits = list(StratifiedKFold(folds, shuffle=True, random_state=0).split(strata, strata))
    train, test = (examples.take([i for group in side for i in members[group]]) for side in splits[fold])
    return train, test
