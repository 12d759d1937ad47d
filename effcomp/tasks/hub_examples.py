"""Examples from the columns of a Hub data set; a row that is no text with one class is refused by its number."""

from dataclasses import dataclass
from typing import Any

from effcomp.core.errors import UserError
from effcomp.models.labels import finder
from effcomp.tasks.base import Examples


@dataclass(frozen=True)
class Columns:
    """Names of the columns that make an example, and the settings that name them."""

    text: list[str]
    pair: str | None
    label: str
    setting: str
    """Prefix of `text`, `pair` and `label` in a command: `task` or `task.hub`."""

    def check(self, data: Any, where: str) -> None:
        """Raise UserError for a column that the data set does not have."""
        for setting, names in (
            ("text", self.text),
            ("pair", [self.pair] if self.pair else []),
            ("label", [self.label]),
        ):
            for name in names:
                check_column(data, name, f"{self.setting}.{setting}", where)


def check_column(data: Any, name: str, setting: str, where: str) -> None:
    """Raise UserError for a column that the data set does not have.

    Args:
        data: a datasets.Dataset.
        where: the split, for the message: `split test of ORG/NAME`.
    """
    if name not in data.column_names:
        there = ", ".join(data.column_names)
        raise UserError(f"{setting}={name}: {where} has no such column; there are: {there}")


def read_texts(data: Any, column: str, where: str) -> list[str]:
    """Return the texts of a column.

    Raises:
        UserError: one is null, or something else than a text.
    """
    values: list[str] = data[column][:]
    for number, value in enumerate(values):
        if not isinstance(value, str):
            raise UserError(f"{where}, row {number}: {column} is {value!r:.40}, not a text; give a column of texts")
    return values


def class_names(data: Any, column: str) -> list[str] | None:
    """Return the names of a column's classes in the order of their numbers; None where it holds no such numbers."""
    names: list[str] | None = getattr(data.features[column], "names", None)
    return names


def read_labels(data: Any, columns: Columns, where: str) -> list[str]:
    """Return the label of each row: the name of its class, or the text, whole number or truth value that stands there.
    A whole number may be written as 1.0, as a column of numbers with gaps is.

    Raises:
        UserError: a label is hidden (-1, null), or is no class.
    """
    names, found = class_names(data, columns.label), []
    for number, value in enumerate(data[columns.label][:]):
        cell = f"{where}, row {number}: the label is {value!r:.40} (column {columns.label})"
        if value is None or (names is not None and not 0 <= value < len(names)):
            raise UserError(
                f"{cell}, which hides it; give splits with labels ({columns.setting}.train, {columns.setting}.test)"
            )
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, str | int):
            raise UserError(f"{cell}, no class; give another column")
        found.append(names[int(value)] if names is not None else str(value))
    return found


def read_examples(data: Any, columns: Columns, order: dict[str, int], where: str) -> Examples:
    """Return the examples of a split.

    Args:
        order: the class of each label, by its text (`finder`).

    Raises:
        UserError: a column is missing, or a row is no text with one of these labels.
    """
    columns.check(data, where)
    find, classes = finder(order), list[int]()
    for number, label in enumerate(read_labels(data, columns, where)):
        if (found := find(label)) is None:
            raise UserError(f"{where}, row {number}: the label {label!r} is none of {', '.join(order)}")
        classes.append(found)
    texts = zip(*(read_texts(data, column, where) for column in columns.text), strict=True)
    return Examples(
        tuple(" ".join(part.strip() for part in parts) for parts in texts),
        tuple(classes),
        tuple(text.strip() for text in read_texts(data, columns.pair, where)) if columns.pair else (),
    )
