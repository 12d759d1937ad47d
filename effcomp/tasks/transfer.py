"""Language modelling trained on one data set and tested on another, say WikiText-2 and GSM8K."""

from pathlib import Path
from typing import ClassVar

from effcomp.core.errors import UserError
from effcomp.models.heads import Problem
from effcomp.tasks.base import Splits, Task
from effcomp.tasks.documents import DocumentsTask


class TransferTask(Task):
    """Task of one task's training documents and another's test documents; blocks have this task's max_length."""

    id: ClassVar[str] = "task/transfer"
    problem: ClassVar[Problem] = "language_modelling"
    folds: ClassVar[bool] = False
    train: DocumentsTask
    """Task whose training documents are learned."""
    test: DocumentsTask
    """Task whose test documents are predicted."""
    data_dir: Path | None = None
    """Refused: give task.train.data_dir=FOLDER and task.test.data_dir=FOLDER instead of the Hub."""

    def check(self) -> None:
        if self.data_dir is not None:
            raise UserError(
                f"task.data_dir={self.data_dir}: task={self.name} reads two data sets; "
                "use task.train.data_dir=FOLDER and task.test.data_dir=FOLDER"
            )
        self.train.check()
        self.test.check()

    def load(self) -> Splits:
        train, train_rows = self.train.documents("train")
        test, test_rows = self.test.documents("test")
        return Splits(train, test, rows=train_rows + test_rows)
