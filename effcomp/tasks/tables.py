"""Classification tasks whose data is a table: SST-2, AG News, XNLI, as published in files or on the Hub."""

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from effcomp.core.component import EACH_ONCE
from effcomp.core.errors import UserError
from effcomp.models.heads import Problem
from effcomp.tasks.base import Examples, FileRows, Splits
from effcomp.tasks.files import find_file
from effcomp.tasks.hub_examples import Columns, class_names, read_examples
from effcomp.tasks.labels import check_unread
from effcomp.tasks.published import HubData, PublishedTask
from effcomp.tasks.rows import ReadSettings, by_side, found_labels, rows_of, to_examples
from effcomp.tasks.signature import Signature
from effcomp.tasks.splits import stratified_split

SPLIT_SEED = 0
"""Seed of a drawn test split; fixed so that all runs share it."""


def keys_as_text(labels: Any) -> Any:
    """Return a map with numbers and truth values in its keys as text: `task.labels={0:bad,1:good}` on a command line,
    where Hydra takes no quotes in a key. A truth value stands for each way that files write it."""
    if not isinstance(labels, dict):
        return labels
    return {spelt: name for value, name in labels.items() for spelt in spellings(value)}


def spellings(value: Any) -> tuple[Any, ...]:
    if isinstance(value, bool):
        return str(value), str(value).lower(), str(value).upper()
    return (str(value) if isinstance(value, int | float) else value,)


Labels = Annotated[dict[str, str], BeforeValidator(keys_as_text)]


class TableTask(PublishedTask):
    """Classification with a table for training and one for the test, or one that is split."""

    id: ClassVar[str] = "task/table"
    problem: ClassVar[Problem] = "classification"
    columns: list[str] | None = None
    """Columns in their order, for files without a header; null: each file has a header."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """Character between cells; null: a tab in .tsv, a comma in .csv or what the header shows."""
    text: Annotated[list[str], Field(min_length=1), EACH_ONCE]
    """Columns that make the text, joined by a space."""
    pair: str | None = None
    """Column of the second sentence."""
    label: str
    """Column of the label."""
    labels: Labels | None = None
    """Value of the label column -> name of the label; null: the labels of the files, in sorted order. The order of the
    names is that of the logits."""
    train_files: Annotated[list[str], Field(min_length=1), EACH_ONCE]
    """Training files in data_dir: .csv, .tsv or .jsonl, each plain or as .gz."""
    test_files: Annotated[list[str], EACH_ONCE] = Field(default_factory=list)
    """Test files; none where the training files hold the test (test_share, split)."""
    test_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the training files' rows held out for the test, stratified by label."""
    split: str | None = None
    """Column of the training files that holds `train` or `test`; rows with another value are not used."""

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.labels or {}).values()))

    def check_settings(self) -> None:
        """Raise UserError for settings that contradict one another."""
        if self.data_dir is None and self.hub is not None:
            self.check_hub_columns(self.hub)
        check_unread(self.label, self.text if self.pair is None else [*self.text, self.pair])
        if self.pair in self.text:
            raise UserError(f"task.pair={self.pair}: the text has this column too; give the column of the second one")
        if self.labels is not None and len(self.label_names) < 2:
            raise UserError(f"task.labels={self.labels}: name at least 2 labels, or leave it out")
        if self.labels is None and self.data_dir is None:
            raise UserError("task.labels=null: the labels are found in files alone; name them, or give task.data_dir")
        given = [bool(self.test_files), self.test_share is not None, self.split is not None]
        if sum(given) != 1 and self.data_dir is not None:
            raise UserError("task.test_files, task.test_share and task.split: give one of them, for the test's rows")

    def check_hub_columns(self, source: HubData) -> None:
        """Raise UserError where the Hub's text does not hold the columns that are asked for, and those alone."""
        held = [name for name in self.columns or [] if name != self.label]
        if source.text is not None and held and self.text not in (held, source.text):
            reason = f"on the Hub there is {', '.join(source.text)} alone, which holds {', '.join(held)}"
            way_on = f"give task.data_dir=FOLDER with {self.file_names}"
            raise UserError(f"task.text={self.text} and task.label={self.label}: {reason}; {way_on}")

    def hub_columns(self, source: HubData) -> Columns:
        return Columns(source.text or self.text, self.pair, source.label or self.label, "task.hub")

    def signature(self) -> Signature:
        text = self.text
        if self.data_dir is None and self.hub is not None:
            text = self.hub_columns(self.hub).text
        return Signature(self.problem, self.max_length, tuple(text), self.pair)

    def check(self) -> None:
        self.check_settings()
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
            return Splits(train, test, self.label_names)
        self.check_settings()
        rows = self.reading().rows(self.data_dir, self.train_files)
        tested = self.reading().rows(self.data_dir, self.test_files)
        if self.split is not None:
            read, (rows, tested) = rows, by_side(rows, self.split)
        else:
            read = rows + tested
        counts = rows_of(read, rows + tested)
        labels = self.labels or found_labels(rows, tested, self.label)
        train, test = (to_examples(part, self.text, self.pair, self.label, labels) for part in (rows, tested))
        if self.test_share is not None:
            source_name = f"task.test_share={self.test_share}: {self.data_dir}"
            train, test = stratified_split(train, round(self.test_share * len(train)), SPLIT_SEED, source_name)
        return Splits(train, test, tuple(dict.fromkeys(labels.values())), counts, drawn=self.test_share is not None)

    def reading(self) -> ReadSettings:
        needed = [*self.text, *([self.pair] if self.pair else []), self.label, *([self.split] if self.split else [])]
        return ReadSettings(self.columns, needed, self.delimiter)

    def from_files(self, folder: Path, names: list[str]) -> tuple[Examples, tuple[FileRows, ...]]:
        """Return the examples of these files, one after another, with the labels that are listed; and their rows.

        Raises:
            UserError: a file is missing, damaged or empty, or has an unknown label; with file and row.
        """
        rows = self.reading().rows(folder, names)
        return to_examples(rows, self.text, self.pair, self.label, self.labels or {}), rows_of(rows, rows)

    def from_hub(self, split: str, subset: str | None) -> Examples:
        """Return the examples of a Hub split. Its integer labels are read by their names there, never by their order.

        Raises:
            UserError: it cannot be fetched, a column is missing, or its labels have other names or are hidden.
        """
        source, data = self.on_hub(), self.hub_split(split, subset)
        where = f"split {split} of {source.name}"
        columns = self.hub_columns(source)
        columns.check(data, where)
        order = {name: i for i, name in enumerate(self.label_names)}
        if (names := class_names(data, columns.label)) is None:  # as in the files
            order = {text: order[name] for text, name in (self.labels or {}).items()}
        elif {name.casefold() for name in names} != {name.casefold() for name in order}:
            raise UserError(f"{source.name}: its labels {', '.join(names)} are not {', '.join(order)}")
        return read_examples(data, columns, order, where)


LANGUAGE = "{language}"
"""Place of the language in the name of a test file."""


class CrossLingualTask(TableTask):
    """Classification trained in one language and tested in several: results for each language, and their mean.

    `{language}` in a test file's name, and the Hub's subset, is the language. Train and test may be two data
    sets whose columns have different names: their order in the files is equal.
    """

    id: ClassVar[str] = "task/cross_lingual"
    folds: ClassVar[bool] = False
    labels: Annotated[Labels, Field(min_length=2)]
    """Value of the label column -> name of the label. The order of the names is that of the logits."""
    test_files: Annotated[list[str], Field(min_length=1)]
    """Test files in data_dir; `{language}` stands for each language."""
    languages: Annotated[list[str], Field(min_length=1), EACH_ONCE]
    """Languages to test in."""
    known_languages: list[str]
    """Languages that the data set has."""

    def check(self) -> None:
        self.check_settings()
        if len(self.languages) > 1 and (whole := [name for name in self.test_files if LANGUAGE not in name]):
            raise UserError(
                f"task.test_files: {whole[0]} is one file for all languages; give each its own, by {LANGUAGE}"
            )
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
        return [name.replace(LANGUAGE, language) for name in self.test_files]

    def load(self) -> Splits:
        rows: tuple[FileRows, ...] = ()
        if self.data_dir is None:
            source = self.on_hub()
            train = self.from_hub(source.train, source.subset)
            parts = [self.from_hub(source.test, language) for language in self.languages]
        else:
            train, rows = self.from_files(self.data_dir, self.train_files)
            tested = [self.from_files(self.data_dir, self.tests(language)) for language in self.languages]
            parts = [examples for examples, _ in tested]
            rows += tuple(row for _, counts in tested for row in counts)
        test = Examples(
            tuple(text for part in parts for text in part.texts),
            tuple(label for part in parts for label in part.labels),
            tuple(pair for part in parts for pair in part.pairs),
            tuple(language for language, part in zip(self.languages, parts, strict=True) for _ in part.texts),
        )
        return Splits(train, test, self.label_names, rows)
