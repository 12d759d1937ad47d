"""Base class of tasks, and their examples."""

from abc import abstractmethod
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, Self

from pydantic import Field

from effcomp.core.component import Component
from effcomp.core.store import Store
from effcomp.models.heads import Problem
from effcomp.tasks.signature import Signature


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
    folds: ClassVar[bool] = True
    """False where the test asks for something else than the training examples do, so that none of them can be it."""
    max_length: Annotated[int, Field(ge=4)]
    """Maximum number of tokens of a text, or of a block of documents. Longer texts are cut, and documents of language
    modelling are packed into such blocks."""
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
