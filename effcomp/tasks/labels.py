"""Labels that are found in the data, where no setting lists them: which of them are classes."""

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable
from contextlib import suppress
from math import isfinite

from effcomp.core.errors import UserError

FEW = 20
"""Labels that may each stand in a row or two."""
MISSING = {"nan", "nat", "<na>", "#n/a", "null"}
"""Words that pandas, Excel and SQL write for a missing value, and nobody for a class."""


def check_unread(label: str, columns: Collection[str]) -> None:
    """Raise UserError where the column of the label is one of those that the model reads."""
    if label in columns:
        raise UserError(f"task.label={label}: the text has this column too, and so its answer; give another column")


def check_found(counts: Counter[str], where: str) -> None:
    """Raise UserError where the labels that were found are no classes.

    Args:
        counts: the rows of each label.
        where: their place, for the message: `the column label of FILE`.
    """
    total = counts.total()
    if empty := counts[""]:
        raise UserError(f"{where} is empty in {empty} of {total} rows; give each row its label, or remove it")
    if gaps := [label for label in counts if label.casefold() in MISSING]:
        reason = f"{where} holds {gaps[0]!r} in {counts[gaps[0]]} of {total} rows, as a missing label is written"
        raise UserError(f"{reason}; remove these rows, or list the labels in task.labels")
    if len(counts) < 2:
        raise UserError(f"{where} holds {next(iter(counts))!r} alone; give 2 labels or more")
    if len(counts) > FEW and 3 * len(counts) > total:
        reason = f"{where} holds {len(counts)} values in {total} rows, which are no classes"
        raise UserError(f"{reason}; give a column with a few labels, or list them in task.labels")
    check_distinct(counts, where)


def check_alike(labels: Collection[str], where: str) -> None:
    """Raise UserError where some of the labels that were found are numbers and others are names."""
    numbers = sorted(label for label in labels if is_number(label))
    if numbers and (names := sorted(set(labels) - set(numbers))):
        reason = f"{where} holds numbers ({', '.join(numbers)}) and names ({', '.join(names)})"
        raise UserError(f"{reason}, as if written in two ways; write them alike, or list them in task.labels")


def in_order(labels: Iterable[str]) -> list[str]:
    """Return the distinct labels in order: by number where all are numbers, else by name."""
    found = set(labels)
    return sorted(found, key=(lambda label: (float(label), label)) if all(map(is_number, found)) else None)


def is_number(label: str) -> bool:
    with suppress(ValueError):
        return isfinite(float(label))
    return False


def check_distinct(labels: Iterable[str], where: str) -> None:
    """Raise UserError where two labels read the same."""
    read: dict[str, str] = {}
    for label in sorted(labels):
        if (other := read.setdefault(as_read(label), label)) != label:
            reason = f"{where} holds {other!a} and {label!a}, which read the same"
            raise UserError(f"{reason}; write them alike, or list them in task.labels")


def as_read(label: str) -> str:
    """Return a label without what a reader does not see: case, spacing, invisible characters, 1 or 1.0."""
    seen = "".join(letter for letter in unicodedata.normalize("NFKC", label) if unicodedata.category(letter) != "Cf")
    seen = " ".join(seen.casefold().split())
    with suppress(ValueError):
        return str(float(seen) + 0)  # -0 is 0
    return seen
