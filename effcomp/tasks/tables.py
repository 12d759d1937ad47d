"""Classification tasks whose data is a table: SST-2, AG News, XNLI, as published in files or on the Hub."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from effcomp.core.component import EACH_ONCE
from effcomp.core.errors import UserError
from effcomp.models.heads import Objective
from effcomp.tasks.base import Examples, Splits
from effcomp.tasks.files import find_file, read_rows
from effcomp.tasks.hub_examples import Columns, class_names, read_examples
from effcomp.tasks.published import PublishedTask
from effcomp.tasks.signature import Signature


class TableTask(PublishedTask):
    """One table for training and one for the test, their columns named in the YAML."""

    id: ClassVar[str] = "task/table"
    objective: ClassVar[Objective] = "classification"
    columns: list[str]
    """The columns in their published order, for files without a header."""
    text: Annotated[list[str], Field(min_length=1)]
    """The columns that make the text, joined by a space."""
    pair: str | None = None
    """The column of the second sentence."""
    label: str
    labels: Annotated[dict[str, str], Field(min_length=2)]
    """What stands in the label column -> the label's name; the order of the names is that of the logits."""

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.labels.values()))

    def signature(self) -> Signature:
        return Signature(self.objective, self.max_length, tuple(self.text), self.pair)

    def check(self) -> None:
        if self.data_dir is None:
            source = self.on_hub()
            self.check_splits(source.train, source.subset, "task.hub.train")
            self.check_splits(source.test, source.subset, "task.hub.test")
            return
        for name in (*self.train_files, *self.test_files):
            find_file(self.data_dir, name, "task.data_dir")

    def load(self) -> Splits:
        if self.data_dir is None:
            source = self.on_hub()
            train, test = (self.from_hub(split, source.subset) for split in (source.train, source.test))
        else:
            train, test = (self.from_files(self.data_dir, names) for names in (self.train_files, self.test_files))
        return Splits(train, test, self.label_names)

    def from_files(self, folder: Path, names: list[str]) -> Examples:
        """The examples of these files, one after another.

        Raises:
            UserError: a file is missing, damaged or empty, or has an unknown label; with file and row.
        """
        needed = [*self.text, *([self.pair] if self.pair else []), self.label]
        order = {name: i for i, name in enumerate(self.label_names)}
        texts: list[str] = []
        pairs: list[str] = []
        labels: list[int] = []
        for name in names:
            file, before = find_file(folder, name, "task.data_dir"), len(texts)
            for number, row in read_rows(file, self.columns, needed):
                if row[self.label] not in self.labels:
                    known = ", ".join(self.labels)
                    raise UserError(f"{file}, row {number}: the label {row[self.label]!r} is none of {known}")
                texts.append(" ".join(row[column].strip() for column in self.text))
                labels.append(order[self.labels[row[self.label]]])
                if self.pair:
                    pairs.append(row[self.pair].strip())
            if len(texts) == before:
                raise UserError(f"{file} has no rows: give it some, or fetch it again")
        return Examples(tuple(texts), tuple(labels), tuple(pairs))

    def from_hub(self, split: str, subset: str | None) -> Examples:
        """Return the examples of a Hub split. Its integer labels are read by their names there, never by their order.

        Raises:
            UserError: it cannot be had, a column is missing, or its labels have other names or are hidden.
        """
        source, data = self.on_hub(), self.hub_split(split, subset)
        where = f"split {split} of {source.name}"
        columns = Columns(source.text or self.text, self.pair, source.label or self.label, "task.hub")
        columns.check(data, where)
        order = {name: i for i, name in enumerate(self.label_names)}
        if (names := class_names(data, columns.label)) is None:  # as in the files
            order = {text: order[name] for text, name in self.labels.items()}
        elif {name.casefold() for name in names} != {name.casefold() for name in order}:
            raise UserError(f"{source.name}: its labels {', '.join(names)} are not {', '.join(order)}")
        return read_examples(data, columns, order, where)


class CrossLingualTask(TableTask):
    """Trained in one language, tested in each that is asked for; results for each language and their mean.

    `{language}` in a test file's name, and the Hub's subset, is the language. Train and test may be two data
    sets with columns of their own names: the files have the same order.
    """

    id: ClassVar[str] = "task/cross_lingual"
    languages: Annotated[list[str], Field(min_length=1), EACH_ONCE]
    known_languages: list[str]

    def check(self) -> None:
        for language in self.languages:
            if language not in self.known_languages:
                raise UserError(f"task.languages: {language} is none of {', '.join(self.known_languages)}")
        if self.data_dir is None:
            source = self.on_hub()
            self.check_splits(source.train, source.subset, "task.hub.train")
            for language in self.languages:
                self.check_splits(source.test, language, "task.hub.test")
            return
        for name in (*self.train_files, *(file for language in self.languages for file in self.tests(language))):
            find_file(self.data_dir, name, "task.data_dir")

    def tests(self, language: str) -> list[str]:
        return [name.format(language=language) for name in self.test_files]

    def load(self) -> Splits:
        if self.data_dir is None:
            source = self.on_hub()
            train = self.from_hub(source.train, source.subset)
            parts = [self.from_hub(source.test, language) for language in self.languages]
        else:
            train = self.from_files(self.data_dir, self.train_files)
            parts = [self.from_files(self.data_dir, self.tests(language)) for language in self.languages]
        test = Examples(
            tuple(text for part in parts for text in part.texts),
            tuple(label for part in parts for label in part.labels),
            tuple(pair for part in parts for pair in part.pairs),
            tuple(language for language, part in zip(self.languages, parts, strict=True) for _ in part.texts),
        )
        return Splits(train, test, self.label_names)
