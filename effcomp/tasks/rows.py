"""Examples from the rows of a user's table: labels by name, one file or several, with counts of rows."""

import csv
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from effcomp.core.errors import UserError
from effcomp.tasks.base import Examples, FileRows
from effcomp.tasks.files import TableRow, ending, find_file, read_rows, shown_delimiter
from effcomp.tasks.labels import MISSING, check_alike, check_found, in_order

log = logging.getLogger(__name__)


class Numbered(NamedTuple):
    """Row of a table with its file and number."""

    file: Path
    number: int
    row: TableRow


class ReadSettings(NamedTuple):
    """Settings by which the files of a table are read."""

    columns: Sequence[str] | None
    needed: Sequence[str]
    delimiter: str | None

    def rows(self, folder: Path, names: Iterable[str]) -> list[Numbered]:
        """Return the rows of these files, one file after another.

        Raises:
            UserError: a file is missing, damaged or empty.
        """
        found: list[Numbered] = []
        for name in names:
            file = find_file(folder, name, "task.data_dir")
            rows = [Numbered(file, *row) for row in read_rows(file, self.columns, self.needed, self.delimiter)]
            if not rows:
                raise UserError(f"{file} has no rows: give it some, or fetch it again")
            found += rows
        return found


def found_labels(trained: list[Numbered], tested: list[Numbered], column: str) -> dict[str, str]:
    """Return the labels in the data, in order (`in_order`), each under its own name.

    Raises:
        UserError: they are no classes, one cannot be learned, or a first row is a header with other names.
    """
    rows = trained + tested
    counts = Counter(row[column].strip() for _, _, row in rows)
    check_found(counts, f"{rows[0].file}: the column {column}")
    unnamed = [one for one in rows if one.number == 1 and ending(one.file) != ".jsonl"]
    first = Counter(row[column].strip() for _, _, row in unnamed)
    learned = {row[column].strip() for _, _, row in trained}
    for file, number, row in rows:
        label = row[column].strip()
        if number == 1 and counts[label] == first[label]:
            reason = f"no other row has the label {label!r}, so this one reads like a header"
            raise UserError(f"{file}, row 1: {reason}; remove it, or name the columns as it does")
        if label not in learned:
            reason = f"no training row has the label {label!r}"
            raise UserError(f"{file}, row {number}: {reason}; give it some, or list the labels in task.labels")
    check_alike(counts, f"{rows[0].file}: the column {column}")
    place = {name: index for index, name in enumerate(in_order(counts))}
    written = sorted({row[column] for _, _, row in rows}, key=lambda label: place[label.strip()])
    labels = {label: label.strip() for label in written}
    log.info("labels found in the column %s: %s", column, ", ".join(dict.fromkeys(labels.values())))
    return labels


def check_labels(rows: list[Numbered], column: str, labels: dict[str, str]) -> None:
    """Raise UserError for labels that are not listed, all at once, and for rows that an open quote has swallowed."""
    unknown = [one for one in rows if one.row[column] not in labels]
    delimiters: dict[Path, str] = {}
    for file, number, row in rows:
        if not any("\n" in cell for cell in row.values()):
            continue
        if file not in delimiters:
            delimiters[file] = shown_delimiter(file, list(row))
        if swallowed(row, column, labels, delimiters[file]):
            reason = "a quoted cell holds lines that are rows of their own"
            raise UserError(f"{file}, row {number}: {reason}; close the quote, or double it")
    if unknown:
        file, number, _ = unknown[0]
        names = sorted({row[column] for _, _, row in unknown})
        what = f"the label {names[0]!r} is" if len(names) == 1 else f"the labels {', '.join(map(repr, names))} are"
        raise UserError(f"{file}, row {number}: {what} none of {', '.join(labels)}")


def swallowed(row: TableRow, column: str, labels: dict[str, str], delimiter: str) -> bool:
    """Tell whether a cell of several lines holds one that is a whole row with a known label. The last line of a cell is
    whole in the last column alone."""
    names = list(row)
    for place, cell in enumerate(row.values()):
        first, *others = [next(csv.reader([line.rstrip("\r")], delimiter=delimiter), []) for line in cell.split("\n")]
        if not others:
            continue
        whole = others if place == len(names) - 1 else others[:-1]
        for cells in ([""] * place + first, *whole):
            if len(cells) == len(names) > 1 and cells[names.index(column)] in labels:
                return True
    return False


def to_examples(
    rows: list[Numbered], text: Sequence[str], pair: str | None, label: str, labels: dict[str, str]
) -> Examples:
    """Return rows as examples, their text columns joined by a space.

    Args:
        labels: value of the label column -> name of the label; classes are numbered in the order of the names.

    Raises:
        UserError: a label is none of these.
    """
    check_labels(rows, label, labels)
    order = {name: i for i, name in enumerate(dict.fromkeys(labels.values()))}
    texts = tuple(" ".join(row[column].strip() for column in text) for _, _, row in rows)
    if empty := sum(not words.strip() for words in texts):
        if empty == len(rows):
            raise UserError(f"{rows[0].file}: the column {', '.join(text)} is empty in every row; give another column")
        log.warning("%s: %d of %d texts are empty", rows[0].file, empty, len(rows))
    if gaps := [words for words in texts if words.strip().casefold() in MISSING]:
        log.warning(
            "%s: %d of %d texts are %r, as a missing one is written", rows[0].file, len(gaps), len(rows), gaps[0]
        )
    return Examples(
        texts,
        tuple(order[labels[row[label]]] for _, _, row in rows),
        tuple(row[pair].strip() for _, _, row in rows) if pair else (),
    )


def by_side(rows: list[Numbered], column: str) -> tuple[list[Numbered], list[Numbered]]:
    """Return the rows whose split column is `train`, and those where it is `test`; others are not used.

    Raises:
        UserError: one side has none.
    """
    sides = tuple([one for one in rows if one.row[column].strip().casefold() == side] for side in ("train", "test"))
    if not all(sides):
        there = ", ".join(sorted({row[column] for _, _, row in rows}))
        raise UserError(f"task.split={column}: it has to say train and test; in {rows[0].file} it says {there}")
    return sides[0], sides[1]


def rows_of(read: list[Numbered], used: list[Numbered]) -> tuple[FileRows, ...]:
    """Return the numbers of rows of each file that were read and used."""
    kept = Counter(file for file, _, _ in used)
    return tuple(FileRows(file, count, kept[file]) for file, count in Counter(file for file, _, _ in read).items())
