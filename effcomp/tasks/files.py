"""Rows of data files: .tsv, .csv and .jsonl, plain or gzipped. Ambiguous input is refused by file and row."""

import csv
import gzip
import json
import logging
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from math import isfinite
from pathlib import Path
from typing import IO, Any

from effcomp.core.errors import UserError
from effcomp.core.readable import reading
from effcomp.tasks.quotes import is_quoted, unquoted

log = logging.getLogger(__name__)


TableRow = dict[str, str]
DAMAGED = (UnicodeError, EOFError, OSError, zlib.error, csv.Error)
"""Exceptions that reading a damaged file raises."""
UTF8 = "utf-8-sig"
"""UTF-8, with or without the byte-order mark that Excel writes."""
MARK = "\ufeff"
"""Byte-order mark; invisible."""
DELIMITERS = (",", ";", "\t", "|")
"""Characters that divide the cells of a .csv, where its header shows which."""
PACKED = {
    b"\x1f\x8b": "a gzip file; name it with .gz",
    b"PK": "a zip file or a workbook; save it as CSV",
    b"ARROW1": "a feather file; save it as CSV",
    b"SQLite format 3": "a SQLite database; save its table as CSV",
    b"\xd0\xcf\x11\xe0": "a workbook; save it as CSV",
    b"PAR1": "a parquet file; save it as CSV",
    b"BZh": "a bzip2 file; unpack it",
    b"\x28\xb5\x2f\xfd": "a zstd file; unpack it",
    b"\xfd7zXZ": "an xz file; unpack it",
    b"\xff\xfe": "UTF-16; save it as UTF-8",
    b"\xfe\xff": "UTF-16; save it as UTF-8",
}
"""Kinds of files that are no UTF-8, by their first bytes."""
AS_CSV = "save the file as .csv, where quotes hold tabs and lines"
LARGEST_CELL = 2**31 - 1
"""Maximum characters of a cell; the csv module's own limit is 131,072."""


def find_file(folder: Path, name: str, setting: str) -> Path:
    """Return the path of the file, or of its .gz, in a folder.

    Raises:
        UserError: neither is there, or the folder cannot be read.
    """
    with reading(folder, setting):
        for file in (folder / name, folder / f"{name}.gz"):
            if file.is_file():
                return file
    raise UserError(f"{setting}={folder} has no {name} (or {name}.gz)")


@contextmanager
def opened(file: Path, newline: str, encoding: str = UTF8) -> Iterator[IO[str]]:
    if file.suffix == ".gz":
        with gzip.open(file, "rt", encoding=encoding, newline=newline) as stream:
            yield stream
    else:
        with file.open(encoding=encoding, newline=newline) as stream:
            yield stream


def lines(stream: IO[str]) -> Iterator[str]:
    """Yield the lines of a file, without the byte-order marks that files have left in it which were joined or saved
    twice; raise UnicodeError for a NUL byte, as UTF-16, files that a crash cut and others that are no text have."""
    for line in stream:
        if "\0" in line:
            raise UnicodeError("byte 0x00 is no text; save the file as text in UTF-8")
        yield line.lstrip(MARK)


def whole(file: Path, encoding: str = UTF8) -> str:
    """Return the whole text of a file, with line feeds for line ends: CR LF, or CR where the file has nothing else.

    Raises:
        UnicodeError, OSError, EOFError, zlib.error: it is not in that encoding, or damaged.
    """
    with opened(file, newline="\n", encoding=encoding) as stream:
        text = "".join(lines(stream)).replace("\r\n", "\n")
    return text if "\n" in text else text.replace("\r", "\n")


def read_text(file: Path, encoding: str = UTF8) -> str:
    """Return the whole text of a file, with line feeds for line ends.

    Raises:
        UserError: it is not in that encoding, or a damaged .gz.
    """
    try:
        return whole(file, encoding)
    except DAMAGED as error:
        raise UserError(f"{file}: {fault(file, error)}") from error


def read_rows(
    file: Path, columns: Sequence[str] | None, needed: Sequence[str], delimiter: str | None = None
) -> Iterator[tuple[int, TableRow]]:
    """Yield each row with its number (the first line is 1), as {column: text}.

    Args:
        columns: the columns in their published order; None for a file with a header. A first row that holds all
            `needed` names is a header and gives the order instead.
        needed: the columns that the task reads.
        delimiter: the character between cells; None: a tab in .tsv, a comma in .csv or what its header shows.

    Raises:
        UserError: a column is missing or stands there twice, a row is short or long, a cell is no text, a quote does
            not close, the text is not UTF-8, or the file is damaged or of another kind.
    """
    kind, number = ending(file), 0
    if kind not in {".tsv", ".csv", ".jsonl"}:
        raise UserError(f"{file}: rows are read from .tsv, .csv and .jsonl, plain or .gz")
    try:
        if kind == ".jsonl":
            rows = jsonl_rows(file, needed)
        else:
            read = csv_rows if kind == ".csv" else tsv_rows
            rows = named(file, read(file, needed, delimiter), columns, needed, exact=kind == ".csv")
        for number, row in rows:
            missing = [name for name in needed if row.get(name) is None]
            if missing:
                cut = kind == ".tsv" and any(cell.count('"') % 2 for cell in row.values())
                way_on = f"a line ends inside quotes too: {AS_CSV}" if cut else "each row needs it"
                raise UserError(f"{file}, row {number}: the column {missing[0]} is missing; {way_on}")
            yield number, row
    except DAMAGED as error:
        place = f"after row {number}" if number else "in the first rows"
        raise UserError(f"{file}, {place}: {fault(file, error)}") from error


def ending(file: Path) -> str:
    """Return the ending that names the kind of a table, also where the file is packed: `.csv` of rows.CSV.gz."""
    return Path(file.name.removesuffix(".gz")).suffix.lower()


def kind_of(file: Path) -> str | None:
    """Return the kind of a file that is no UTF-8, with the fix; None where its first bytes are none that are known."""
    with suppress(*DAMAGED), gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
        beginning = stream.read(16)
        return next((kind for start, kind in PACKED.items() if beginning.startswith(start)), None)
    return None


def fault(file: Path, error: Exception) -> str:
    """Return what is wrong, and the fix."""
    if isinstance(error, UnicodeError) and (kind := kind_of(file)):
        return f"it is {kind}"
    if isinstance(error, UnicodeDecodeError):
        return f"byte 0x{error.object[error.start]:02x} is not UTF-8; save the file as UTF-8"
    if isinstance(error, EOFError):
        return "the .gz file is cut off; fetch it again"
    if isinstance(error, gzip.BadGzipFile | zlib.error):
        return f"{error}; fetch the file again, or name it without .gz"
    if isinstance(error, csv.Error) and "unexpected end" in str(error):
        return "a quote opens a cell and never closes; double the quotes inside a cell"
    if isinstance(error, csv.Error) and "expected after" in str(error):
        return "text follows the quote that closes a cell; double the quotes inside a cell"
    return str(error)


def tsv_rows(file: Path, needed: Sequence[str], delimiter: str | None) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each line, divided by tabs and by line ends alone: a quote is a character like any other, but
    where a CSV writer has quoted the cells (`is_quoted`)."""
    rows = [line.split(delimiter or "\t") for line in whole(file).split("\n")]
    quoted = is_quoted(rows)
    if quoted:
        log.info("%s: quoted cells are unquoted", file)
    for number, cells in enumerate(rows, start=1):
        if cells != [""]:
            yield number, [unquoted(cell) for cell in cells] if quoted else cells


def csv_rows(file: Path, needed: Sequence[str], delimiter: str | None) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(LARGEST_CELL)
    if delimiter is None:
        delimiter = shown_delimiter(file, needed)
    with opened(file, newline="") as stream:
        reader = csv.reader(lines(stream), delimiter=delimiter, strict=True)
        yield from ((reader.line_num, cells) for cells in reader)


def shown_delimiter(file: Path, needed: Sequence[str]) -> str:
    """Return the character that divides a header with most of the needed names; a comma where there is no header."""
    with opened(file, newline="") as stream:
        first = next(lines(stream), "")
    found = {one: len(set(needed) & set(next(csv.reader([first], delimiter=one), []))) for one in DELIMITERS}
    return max(found, key=lambda one: found[one])


def named(
    file: Path,
    rows: Iterator[tuple[int, list[str]]],
    columns: Sequence[str] | None,
    needed: Sequence[str],
    *,
    exact: bool,
) -> Iterator[tuple[int, TableRow]]:
    """Yield the rows by column.

    Args:
        exact: no row may have more cells than there are columns; else as many as the first one (MultiNLI's files have
            one that is not read).
    """
    width = 0
    for number, cells in rows:
        if not cells:
            continue
        if width == 0:
            header = is_header(file, number, cells, needed)
            if header:
                columns = cells
            elif columns is None:
                reason = f"{', '.join(cells)!r:.60} is no header with {', '.join(needed)}"
                raise UserError(f"{file}, row {number}: {reason}; write one, or list a task's columns in task.columns")
            width = len(columns or ()) if exact or header else max(len(columns or ()), len(cells))
            if header:
                continue
        if read_alike(cells, columns or ()):
            raise UserError(f"{file}, row {number}: the header stands there again; remove it")
        if len(cells) > width:
            reason = f"{len(cells)} cells, and there are {width} columns"
            way_on = "quote a cell that holds the delimiter" if exact else f"a tab inside quotes is one too: {AS_CSV}"
            raise UserError(f"{file}, row {number}: {reason}; {way_on}")
        yield number, dict(zip(columns or (), cells, strict=False))


def read_alike(cells: Sequence[str], columns: Sequence[str]) -> bool:
    return [cell.strip().casefold() for cell in cells] == [name.strip().casefold() for name in columns]


def is_header(file: Path, number: int, cells: list[str], needed: Sequence[str]) -> bool:
    """Tell whether a first row names the columns.

    Raises:
        UserError: it names a part of those that are needed, or one of them twice.
    """
    if not (there := set(needed) & set(cells)):
        return False
    if missing := [name for name in needed if name not in there]:
        has = ", ".join(cell if cell.isprintable() and cell == cell.strip() else ascii(cell) for cell in cells)
        raise UserError(f"{file}, row {number}: the header has no column {', '.join(missing)}; it has: {has}")
    if twice := [name for name in needed if cells.count(name) > 1]:
        raise UserError(f"{file}, row {number}: the column {twice[0]} stands there twice; remove or rename one")
    return True


def jsonl_rows(file: Path, needed: Sequence[str]) -> Iterator[tuple[int, TableRow]]:
    with opened(file, newline="\n") as stream:
        for number, line in enumerate(lines(stream), start=1):
            if not line.strip():
                continue
            try:
                pairs: Any = json.loads(line, object_pairs_hook=ObjectPairs)
            except (ValueError, RecursionError) as error:  # brackets, or digits, in thousands
                raise UserError(f"{file}, row {number}: not JSON ({error}); give a JSON object on each line") from error
            if not isinstance(pairs, ObjectPairs):
                raise UserError(f"{file}, row {number}: not a JSON object; give one on each line")
            names = [name for name, _ in pairs]
            if twice := [name for name in needed if names.count(name) > 1]:
                raise UserError(f"{file}, row {number}: the field {twice[0]} stands there twice; remove one")
            fields = {name: value for name, value in pairs if value is not None and name in needed}
            yield number, {name: text_of(file, number, name, value) for name, value in fields.items()}


class ObjectPairs(list[tuple[str, Any]]):
    """Pairs of a JSON object, in the order of the file, repeated names included."""


def text_of(file: Path, number: int, name: str, value: object) -> str:
    """Return a JSON value as text, a truth value as it stands there (`true`).

    Raises:
        UserError: it is a list, an object, NaN or infinity, or text with half a character.
    """
    if isinstance(value, list):
        kind = "an object" if isinstance(value, ObjectPairs) else "a list"
        raise UserError(f"{file}, row {number}: {name} is {kind}; give text")
    if isinstance(value, float) and not isfinite(value):
        raise UserError(f"{file}, row {number}: {name} is {value}, no text; remove the row, or give its text")
    text = json.dumps(value) if isinstance(value, bool) else str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = ascii(text[error.start])
        raise UserError(f"{file}, row {number}: {name} holds {half}, half a character; write it whole") from error
    return text
