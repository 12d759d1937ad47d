"""Language modelling on published documents: WikiText-2 and GSM8K."""

import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import Field

from effcomp.core.errors import UserError
from effcomp.models.heads import Problem
from effcomp.tasks.base import Examples, Splits
from effcomp.tasks.files import find_file, read_rows, read_text
from effcomp.tasks.hub_examples import check_column, read_texts
from effcomp.tasks.published import PublishedTask

Side = Literal["train", "test"]
T = TypeVar("T")
HEADING = re.compile(r"^ = [^=].* = $")
"""A WikiText article begins with ` = Title = `; its sections have more signs."""


class DocumentsTask(PublishedTask):
    id: ClassVar[str] = "task/documents"
    problem: ClassVar[Problem] = "language_modelling"
    layout: Literal["articles", "rows"]
    """articles: running text, cut where a WikiText heading stands; rows: a document on each line of .jsonl."""
    columns: Annotated[list[str], Field(min_length=1)]
    """The fields of a row that make the document, joined by a line break; for articles the Hub's text column."""

    def check(self) -> None:
        if self.data_dir is None:
            source = self.on_hub()
            self.check_splits(source.train, source.subset, "task.hub.train")
            self.check_splits(source.test, source.subset, "task.hub.test")
            return
        self.files(self.data_dir, "train")
        self.files(self.data_dir, "test")

    def load(self) -> Splits:
        return Splits(self.documents("train"), self.documents("test"))

    def documents(self, side: Side) -> Examples:
        if self.layout == "rows":
            return Examples(tuple(map("\n".join, self.rows(side))))
        if self.data_dir is None:
            (lines,) = self.from_hub(side, self.columns[:1])
            return Examples(tuple(articles([line.rstrip("\n") for line in lines])))
        found: list[str] = []
        for file in self.files(self.data_dir, side):
            found += non_empty(file, articles(read_text(file).split("\n")))
        return Examples(tuple(found))

    def rows(self, side: Side) -> list[tuple[str, ...]]:
        """Layout `rows`: the columns of each document."""
        if self.data_dir is None:
            return list(zip(*self.from_hub(side, self.columns), strict=True))
        found: list[tuple[str, ...]] = []
        for file in self.files(self.data_dir, side):
            rows = [tuple(row[name] for name in self.columns) for _, row in read_rows(file, self.columns, self.columns)]
            found += non_empty(file, rows)
        return found

    def files(self, folder: Path, side: Side) -> list[Path]:
        names = self.train_files if side == "train" else self.test_files
        return [find_file(folder, name, "task.data_dir") for name in names]

    def from_hub(self, side: Side, columns: list[str]) -> list[list[str]]:
        """Return the texts of each column of the Hub's data set.

        Raises:
            UserError: it cannot be had, or a column is missing or holds no texts.
        """
        source = self.on_hub()
        split = source.train if side == "train" else source.test
        data, where = self.hub_split(split, source.subset), f"split {split} of {source.name}"
        for column in columns:
            check_column(data, column, "task.columns", where)
        return [read_texts(data, column, where) for column in columns]


def non_empty(file: Path, documents: list[T]) -> list[T]:
    if not documents:
        raise UserError(f"{file} has no documents: give it some, or fetch it again")
    return documents


def articles(lines: list[str]) -> list[str]:
    """The articles of a WikiText file, each with its heading; empty lines are left out."""
    found: list[list[str]] = []
    for line in lines:
        if HEADING.match(line) or not found:
            found.append([])
        if line.strip():
            found[-1].append(line.strip())
    return ["\n".join(article) for article in found if article]
