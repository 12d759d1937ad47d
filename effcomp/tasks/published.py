"""Data sets as they were published: files in a folder, or a repository of the Hugging Face Hub."""

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from effcomp.core.component import EACH_ONCE, Component
from effcomp.core.errors import UserError
from effcomp.core.hub.repository import Repository
from effcomp.tasks.base import Task
from effcomp.tasks.hub_data import Layout, find_layout, read_split


class HubData(Component):
    """Place of a data set on the Hugging Face Hub."""

    id: ClassVar[str] = "task/hub_data"
    name: str
    """Name of the repository, `ORG/NAME`."""
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    """Commit (40 hex digits), never a branch."""
    subset: str | None = None
    """Name of the configuration; null: the only one."""
    train: str
    """Name of the training split."""
    test: str
    """Name of the test split."""
    text: list[str] | None = None
    """Columns that make the text; null: those of the files."""
    label: str | None = None
    """Column of the label; null: that of the files."""


class PublishedTask(Task):
    """Base class of tasks whose data is published in files or on the Hub."""

    hub: HubData | None = None
    """Place on the Hub; null for data in files alone."""
    train_files: Annotated[list[str], Field(min_length=1), EACH_ONCE]
    """Training files in data_dir, each plain or as .gz."""
    test_files: Annotated[list[str], Field(min_length=1), EACH_ONCE]
    """Test files in data_dir, each plain or as .gz."""

    data_dir: Path | None = None
    """Folder with train_files and test_files, used instead of the Hub."""

    @property
    def file_names(self) -> str:
        return ", ".join((*self.train_files, *self.test_files))

    def on_hub(self) -> HubData:
        """Return the data set's place on the Hub.

        Raises:
            UserError: the data is in files alone, and no folder is given.
        """
        if self.hub is None:
            reason = f"task.data_dir=null: task={self.name} is read from files"
            raise UserError(f"{reason}; give a folder with {self.file_names}")
        return self.hub

    def hub_layout(self, subset: str | None) -> Layout:
        """Return the splits of a subset of the Hub's data set.

        Raises:
            UserError: the data set cannot be reached or has no such subset.
        """
        source = self.on_hub()
        ways_on = f"task={self.name}: use task.data_dir=FOLDER with {self.file_names}, or another task"
        repository = Repository(source.name, "dataset", source.revision, ways_on)
        return find_layout(repository, subset, "task.hub.subset")

    def check_splits(self, split: str, subset: str | None, setting: str) -> None:
        """Raise UserError when the Hub's data set has no such split; its files are not fetched yet."""
        self.hub_layout(subset).check(split, setting)

    def hub_split(self, split: str, subset: str | None) -> Any:
        """Return a split of the Hub's data set, by column.

        Raises:
            UserError: it cannot be fetched or read.
        """
        return read_split(self.hub_layout(subset), split)
