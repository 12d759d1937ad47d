"""Rows of published data files: .tsv, .csv and .jsonl, plain or gzipped; a fault is named by file and row."""

import csv
import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from effcomp.core.errors import UserError

Row = dict[str, str]
DAMAGED = (UnicodeDecodeError, EOFError, OSError, zlib.error, csv.Error)
"""What reading a damaged file raises."""


def find_file(folder: Path, name: str, setting: str) -> Path:
    """The file, or its .gz, in a folder.

    Raises:
        UserError: neither is there.
    """
    for file in (folder / name, folder / f"{name}.gz"):
        if file.is_file():
            return file
    raise UserError(f"{setting}={folder} has no {name} (or {name}.gz)")


@contextmanager
def opened(file: Path, newline: str, encoding: str = "utf-8") -> Iterator[IO[str]]:
    if file.suffix == ".gz":
        with gzip.open(file, "rt", encoding=encoding, newline=newline) as stream:
            yield stream
    else:
        with file.open(encoding=encoding, newline=newline) as stream:
            yield stream


def read_text(file: Path, encoding: str = "utf-8") -> str:
    """The whole text of a file.

    Raises:
        UserError: it is not in that encoding, or a damaged .gz.
    """
    try:
        with opened(file, newline="\n", encoding=encoding) as stream:
            return stream.read()
    except DAMAGED as error:
        raise UserError(f"{file}: {fault(error)}") from error


def read_rows(file: Path, columns: Sequence[str], needed: Sequence[str]) -> Iterator[tuple[int, Row]]:
    """Each row with its number (the first line is 1), as {column: text}.

    Args:
        columns: the columns in their published order. A first row that holds all `needed` names is a header and
            gives the order instead.
        needed: the columns that the task reads.

    Raises:
        UserError: a column is missing, a row is short, the text is not UTF-8, or the file is damaged or of another
            kind.
    """
    readers = {".tsv": tsv_rows, ".csv": csv_rows, ".jsonl": jsonl_rows}
    kind, number = Path(file.name.removesuffix(".gz")).suffix, 0
    if kind not in readers:
        raise UserError(f"{file}: rows are read from {', '.join(readers)}, plain or .gz")
    rows = readers[kind](file, columns, needed)
    try:
        for number, row in rows:
            missing = [name for name in needed if row.get(name) is None]
            if missing:
                raise UserError(f"{file}, row {number}: the column {missing[0]} is missing; each row needs it")
            yield number, row
    except DAMAGED as error:
        raise UserError(f"{file}, after row {number}: {fault(error)}") from error


def fault(error: Exception) -> str:
    """What is wrong, and the way on."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte 0x{error.object[error.start]:02x} is not UTF-8; save the file as UTF-8"
    if isinstance(error, EOFError):
        return "the .gz file is cut off; fetch it again"
    if isinstance(error, gzip.BadGzipFile | zlib.error):
        return f"{error}; fetch the file again, or name it without .gz"
    return str(error)


def tsv_rows(file: Path, columns: Sequence[str], needed: Sequence[str]) -> Iterator[tuple[int, Row]]:
    """Split on tabs and on line feeds alone: a quote is a character like any other, and so is U+001D."""
    with opened(file, newline="\n") as stream:
        lines = (line.rstrip("\n").removesuffix("\r").split("\t") for line in stream)
        yield from named(file, enumerate(lines, start=1), columns, needed)


def csv_rows(file: Path, columns: Sequence[str], needed: Sequence[str]) -> Iterator[tuple[int, Row]]:
    with opened(file, newline="") as stream:
        reader = csv.reader(stream)
        yield from named(file, ((reader.line_num, cells) for cells in reader), columns, needed)


def named(
    file: Path, rows: Iterator[tuple[int, list[str]]], columns: Sequence[str], needed: Sequence[str]
) -> Iterator[tuple[int, Row]]:
    for position, (number, cells) in enumerate(rows):
        if position == 0 and set(needed) <= set(cells):
            columns = cells
            continue
        if position == 0 and (part := set(needed) & set(cells)):
            missing = ", ".join(name for name in needed if name not in part)
            raise UserError(f"{file}, row {number}: the header has no column {missing}; it has: {', '.join(cells)}")
        if cells in ([], [""]):
            continue
        yield number, dict(zip(columns, cells, strict=False))


def jsonl_rows(file: Path, columns: Sequence[str], needed: Sequence[str]) -> Iterator[tuple[int, Row]]:
    with opened(file, newline="\n") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                fields: Any = json.loads(line)
            except (ValueError, RecursionError) as error:  # brackets, or digits, in thousands
                raise UserError(f"{file}, row {number}: not JSON ({error}); give a JSON object on each line") from error
            if not isinstance(fields, dict):
                raise UserError(f"{file}, row {number}: not a JSON object; give one on each line")
            yield number, {name: str(value) for name, value in fields.items() if value is not None}
