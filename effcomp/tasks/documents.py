"""Language modelling on published documents: WikiText-2 and GSM8K."""

import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from effcomp import hub
from effcomp.errors import UserError
from effcomp.heads import Objective
from effcomp.tasks.base import Examples, Splits, Task
from effcomp.tasks.files import find_file, read_rows, read_text
from effcomp.tasks.tables import HubData

HEADING = re.compile(r"^ = [^=].* = $")
"""A WikiText article begins with ` = Title = `; its sections have more signs."""


class DocumentsTask(Task):
    objective: ClassVar[Objective] = "language_modelling"
    hub: HubData
    train_files: Annotated[list[str], Field(min_length=1)]
    test_files: Annotated[list[str], Field(min_length=1)]
    layout: Literal["articles", "rows"]
    """articles: running text, cut where a WikiText heading stands; rows: a document on each line of .jsonl."""
    columns: Annotated[list[str], Field(min_length=1)]
    """The fields of a row that make the document, joined by a line break; for articles the Hub's text column."""

    def check(self) -> None:
        if self.data_dir is None:
            if not hub.reachable():
                self.from_hub(self.hub.test)
            return
        for name in (*self.train_files, *self.test_files):
            find_file(self.data_dir, name, "task.data_dir")

    def load(self) -> Splits:
        if self.data_dir is None:
            return Splits(self.from_hub(self.hub.train), self.from_hub(self.hub.test))
        train, test = (self.from_files(self.data_dir, names) for names in (self.train_files, self.test_files))
        return Splits(train, test)

    def from_files(self, folder: Path, names: list[str]) -> Examples:
        documents: list[str] = []
        for name in names:
            file, before = find_file(folder, name, "task.data_dir"), len(documents)
            if self.layout == "articles":
                documents += articles(read_text(file).split("\n"))
            else:
                documents += [
                    "\n".join(row[column] for column in self.columns)
                    for _, row in read_rows(file, self.columns, self.columns)
                ]
            if len(documents) == before:
                raise UserError(f"{file} has no documents: give it some, or fetch it again")
        return Examples(tuple(documents))

    def from_hub(self, split: str) -> Examples:
        ways_on = f"use task.data_dir=FOLDER with {', '.join((*self.train_files, *self.test_files))}, or another task"
        data = hub.dataset_split(
            self.hub.name, self.hub.revision, self.hub.subset, split, f"task={self.name}: {ways_on}"
        )
        if self.layout == "articles":
            return Examples(tuple(articles([line.rstrip("\n") for line in data[self.columns[0]]])))
        return Examples(tuple("\n".join(parts) for parts in zip(*(data[c] for c in self.columns), strict=True)))


def articles(lines: list[str]) -> list[str]:
    """The articles of a WikiText file, each with its heading; empty lines are left out."""
    found: list[list[str]] = []
    for line in lines:
        if HEADING.match(line) or not found:
            found.append([])
        if line.strip():
            found[-1].append(line.strip())
    return ["\n".join(article) for article in found if article]
