"""Data sets as they were published: files in a folder, or a repository of the Hugging Face Hub."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from effcomp.core import hub
from effcomp.core.component import Component
from effcomp.core.errors import UserError
from effcomp.tasks.base import Task


class HubData(Component):
    """Where a data set stands on the Hugging Face Hub."""

    id: ClassVar[str] = "task/hub_data"
    name: str
    """owner/name."""
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    """A commit, never a branch."""
    subset: str | None = None
    train: str
    test: str
    """The names of its splits."""
    text: list[str] | None = None
    label: str | None = None
    """Its columns, where they are not called what the files call them."""


class PublishedTask(Task):
    hub: HubData | None = None
    """Null for data in files alone."""
    train_files: Annotated[list[str], Field(min_length=1)]
    test_files: Annotated[list[str], Field(min_length=1)]
    """The files in data_dir, each as it is or as .gz."""

    @property
    def file_names(self) -> str:
        return ", ".join((*self.train_files, *self.test_files))

    def on_hub(self) -> HubData:
        """
        Raises:
            UserError: the data is in files alone, and no folder is given.
        """
        if self.hub is None:
            reason = f"task.data_dir=null: task={self.name} is read from files"
            raise UserError(f"{reason}; give a folder with {self.file_names}")
        return self.hub

    def hub_split(self, split: str, subset: str | None) -> Any:
        """A split of the Hub's data set, by column.

        Raises:
            UserError: it cannot be had.
        """
        source = self.on_hub()
        ways_on = f"use task.data_dir=FOLDER with {self.file_names}, or another task"
        return hub.dataset_split(source.name, source.revision, subset, split, f"task={self.name}: {ways_on}")
