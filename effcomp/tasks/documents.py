"""Language modelling on published documents: WikiText-2 and GSM8K."""

import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from effcomp.core.errors import UserError
from effcomp.models.heads import Problem
from effcomp.tasks.base import Examples, FileRows, Splits
from effcomp.tasks.files import find_file, read_rows, read_text
from effcomp.tasks.hub_examples import check_column, read_texts
from effcomp.tasks.published import PublishedTask

SplitName = Literal["train", "test"]
HEADING = re.compile(r"^ = [^=].* = $")
"""First line of a WikiText article: ` = Title = `; its sections have more signs."""


class DocumentsTask(PublishedTask):
    """Language modelling of documents: the articles of running text, or the rows of a file."""

    id: ClassVar[str] = "task/documents"
    problem: ClassVar[Problem] = "language_modelling"
    layout: Literal["articles", "rows"]
    """`articles`: text that is cut at WikiText's headings; `rows`: a document a line of .jsonl."""
    columns: Annotated[list[str], Field(min_length=1)]
    """Fields of a row that make the document, joined by a line break. Of articles it is the Hub's text column."""

    def check(self) -> None:
        if self.data_dir is None:
            source = self.on_hub()
            self.check_splits(source.train, source.subset, "task.hub.train")
            self.check_splits(source.test, source.subset, "task.hub.test")
            return
        self.files(self.data_dir, "train")
        self.files(self.data_dir, "test")

    def load(self) -> Splits:
        train, train_rows = self.documents("train")
        test, test_rows = self.documents("test")
        return Splits(train, test, rows=train_rows + test_rows)

    def documents(self, split_name: SplitName) -> tuple[Examples, tuple[FileRows, ...]]:
        """Return the documents, and their number in each file."""
        found, counts = self.parts(split_name)
        return Examples(tuple(map("\n".join, found))), counts

    def parts(self, split_name: SplitName) -> tuple[list[tuple[str, ...]], tuple[FileRows, ...]]:
        """Return the columns of each document (of an article its text alone), and the number of documents in each file.

        Raises:
            UserError: they cannot be read or fetched, or a file is damaged or has none.
        """
        if self.data_dir is None:
            columns = self.from_hub(split_name)
            if self.layout == "rows":
                return list(zip(*columns, strict=True)), ()
            return [(text,) for text in articles([line.rstrip("\n") for line in columns[0]])], ()
        found: list[tuple[str, ...]] = []
        counts = []
        for file in self.files(self.data_dir, split_name):
            documents = self.read(file)
            if not documents:
                raise UserError(f"{file} has no documents: give it some, or fetch it again")
            found += documents
            counts.append(FileRows(file, len(documents), len(documents)))
        return found, tuple(counts)

    def read(self, file: Path) -> list[tuple[str, ...]]:
        if self.layout == "articles":
            return [(text,) for text in articles(read_text(file).split("\n"))]
        return [tuple(row[name] for name in self.columns) for _, row in read_rows(file, self.columns, self.columns)]

    def files(self, folder: Path, split_name: SplitName) -> list[Path]:
        names = self.train_files if split_name == "train" else self.test_files
        return [find_file(folder, name, "task.data_dir") for name in names]

    def from_hub(self, split_name: SplitName) -> list[list[str]]:
        """Return the texts of each column of the Hub's data set; of articles the first column alone.

        Raises:
            UserError: it cannot be had, or a column is missing or holds no texts.
        """
        source = self.on_hub()
        split = source.train if split_name == "train" else source.test
        data, where = self.hub_split(split, source.subset), f"split {split} of {source.name}"
        columns = self.columns if self.layout == "rows" else self.columns[:1]
        for column in columns:
            check_column(data, column, "task.columns", where)
        return [read_texts(data, column, where) for column in columns]


def articles(lines: list[str]) -> list[str]:
    """Return the articles of a WikiText file, each with its heading; empty lines are left out."""
    found: list[list[str]] = []
    for line in lines:
        if HEADING.match(line) or not found:
            found.append([])
        if line.strip():
            found[-1].append(line.strip())
    return ["\n".join(article) for article in found if article]
