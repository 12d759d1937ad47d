"""Classification on any table of the Hugging Face Hub that the command names."""

import logging
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field

from effcomp.core.errors import UserError
from effcomp.core.hub.repository import Repository, commit, named
from effcomp.models.heads import Problem
from effcomp.tasks.base import Splits, Task
from effcomp.tasks.hub_data import Layout, find_layout, read_split
from effcomp.tasks.hub_examples import Columns, check_column, class_names, read_examples, read_labels
from effcomp.tasks.labels import check_alike, check_distinct, check_found, check_unread, in_order
from effcomp.tasks.signature import Signature

log = logging.getLogger(__name__)

WAYS_ON = "use another task, or a task with task.data_dir=FOLDER"
TESTS = ("test", "validation", "dev")
"""Names of a test split, in order of preference."""


class HubTable(Task):
    """Classification of the texts of a Hub data set, which names the classes."""

    id: ClassVar[str] = "task/hub_table"
    problem: ClassVar[Problem] = "classification"
    repository: Annotated[str, AfterValidator(named)]
    """Data set on the Hugging Face Hub, `ORG/NAME`."""
    revision: str | None
    """Commit, branch or tag; null: the default branch. Its commit is recorded."""
    subset: str | None
    """Name of the subset; null: the only one, or the repository's default."""
    train: str
    """Name of the training split."""
    test: str | None
    """Name of the test split; null: the first present of test, validation and dev."""
    text: Annotated[list[str], Field(min_length=1)]
    """Columns that make the text, joined by a space."""
    pair: str | None
    """Column of the second sentence."""
    label: str
    """Column of the label."""
    data_dir: Path | None = None
    """Refused: the data is read from the Hub alone."""

    def signature(self) -> Signature:
        return Signature(self.problem, self.max_length, tuple(self.text), self.pair)

    @property
    def layout(self) -> Layout:
        ways_on = f"task={self.name}: {WAYS_ON}"
        found = commit(self.repository, "dataset", self.revision, ways_on)
        return find_layout(Repository(self.repository, "dataset", found, ways_on), self.subset, "task.subset")

    def pinned(self) -> Self:
        return self.model_copy(update={"revision": self.layout.repository.commit, "test": self.test_split})

    @property
    def test_split(self) -> str:
        if self.test is not None:
            return self.test
        there = self.layout.files
        if (found := next((name for name in TESTS if name in there), None)) is None:
            raise UserError(f"task.test=null: {self.repository} has no test; there are: {', '.join(there)}; give one")
        return found

    def check(self) -> None:
        if self.data_dir is not None:
            raise UserError(f"task.data_dir={self.data_dir}: task={self.name} is read from the Hub alone; {WAYS_ON}")
        check_unread(self.label, self.signature().columns)
        self.layout.check(self.train, "task.train")
        self.layout.check(self.test_split, "task.test")

    def load(self) -> Splits:
        columns = Columns(self.text, self.pair, self.label, "task")
        (train, where), (test, where_test) = (self.read(split) for split in (self.train, self.test_split))
        check_column(train, self.label, "task.label", where)
        if names := class_names(train, self.label):
            check_distinct(names, f"{where}: the column {self.label}")
        else:
            names = self.found(train, columns, where)
        if len(names) < 2:
            raise UserError(f"task.label={self.label}: {where} has one label, {names[0]}; give a column with several")
        order = {name: number for number, name in enumerate(names)}
        return Splits(
            read_examples(train, columns, order, where), read_examples(test, columns, order, where_test), tuple(names)
        )

    def found(self, data: Any, columns: Columns, where: str) -> list[str]:
        """Return the labels of a column without named classes, in order.

        Raises:
            UserError: a label is hidden, or they are no classes.
        """
        labels = read_labels(data, columns, where)
        check_found(Counter(labels), f"{where}: the column {self.label}")
        check_alike(labels, f"{where}: the column {self.label}")
        return in_order(labels)

    def read(self, split: str) -> tuple[Any, str]:
        """Return a split, and its name for messages."""
        return read_split(self.layout, split), f"split {split} of {self.repository}"
