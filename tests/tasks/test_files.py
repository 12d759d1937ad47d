"""Rows of published files, and the faults that are named by file and row."""

import csv
import gzip
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effcomp.core.errors import UserError
from effcomp.tasks.files import read_rows, read_text

COLUMNS = ["sentence", "label"]


def rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    return list(read_rows(file, COLUMNS, COLUMNS))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("header", ["", "sentence\tlabel\n", "label\tsentence\n"])
def test_a_header_is_known_by_its_names(header: str, packed: bool, tmp_path: Path) -> None:
    line = "0\tgood\n" if header.startswith("label") else "good\t0\n"
    file = tmp_path / ("train.tsv.gz" if packed else "TRAIN.TSV")
    data = (header + line).encode()
    file.write_bytes(gzip.compress(data) if packed else data)
    number = 2 if header else 1
    assert rows(file) == [(number, {"sentence": "good", "label": "0"})]


def test_in_tsv_a_quote_and_a_control_character_are_text(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes('a "quote\t0\nb\x1dc\u2028d\t1\r\n'.encode())
    assert [row["sentence"] for _, row in rows(tmp_path / "a.tsv")] == ['a "quote', "b\x1dc\u2028d"]


def test_in_csv_a_quoted_cell_may_hold_commas_and_line_breaks(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('"one, ""two""\nthree",0\nfour,1\n')
    assert rows(tmp_path / "a.csv") == [
        (2, {"sentence": 'one, "two"\nthree', "label": "0"}),
        (3, {"sentence": "four", "label": "1"}),
    ]


FAULTS = {
    "short.tsv": (b"good\t0\nbad\n", "row 2: the column label is missing"),
    "utf8.tsv": (b"good\t0\nb\xffd\t1\n", "0xff is not UTF-8"),
    "cut.tsv.gz": (gzip.compress(b"good\t0\n" * 2000)[:40], "cut off"),
    "gzip.csv": (gzip.compress(b"good,0\n"), "it is a gzip file; name it with .gz"),
    "workbook.csv": (b"PK\x03\x04\xff", "save it as CSV"),
    "packed.csv": (b"\x28\xb5\x2f\xfdabc", "it is a zstd file; unpack it"),
    "parquet.csv": (b"PAR1\x15\0", "it is a parquet file; save it as CSV"),
    "zipped.tsv.gz": (gzip.compress(b"SQLite format 3\0"), "it is a SQLite database"),
    "other.csv": ("good,0\n".encode("utf-16"), "it is UTF-16; save it as UTF-8"),
    "sheet.csv": (b"\xd0\xcf\x11\xe0", "it is a workbook; save it as CSV"),
    "tabs.tsv": (b'"a\tb"\t0\n"a\tb\tc"\t0\n', "a tab inside quotes is one too: save the file as .csv"),
    "lines.tsv": (b'good\t0\n"a\nb"\t0\n', "a line ends inside quotes too: save the file as .csv"),
    "nul.jsonl": (b'{"sentence": "good", "label": 0}\n\0\0', "after row 1: byte 0x00 is no text"),
    "nogzip.tsv.gz": (b"good\t0\n", "Not a gzipped file"),
    "json.jsonl": (b'{"sentence": "good", "label": 0}\n{"sent\n', "row 2: not JSON"),
    "list.jsonl": (b"[1]\n", "row 1: not a JSON object"),
    "missing.jsonl": (b'{"sentence": "good"}\n', "row 1: the column label is missing"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_line_with_file_and_row(name: str, tmp_path: Path) -> None:
    content, words = FAULTS[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        rows(tmp_path / name)
    message = str(caught.value)
    assert str(tmp_path / name) in message
    assert words in message
    assert "row" in message
    assert "\n" not in message


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"), max_size=30).filter(
    lambda text: text not in COLUMNS
)
TABLES = st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=8)


def written(kind: str, table: list[tuple[str, str]]) -> bytes:
    """A file with a header, as the format's own writer makes it."""
    if kind == "jsonl":
        return "".join(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n" for row in table).encode()
    with tempfile.SpooledTemporaryFile(mode="w+", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([COLUMNS, *table])
        stream.seek(0)
        return stream.read().encode()


def lines(table: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the rows that a .tsv can hold: without tabs and line breaks in cells, and none that is a blank line."""
    return [row for row in table if not set("\t\n\r") & set("".join(row))]


def read_back(name: str, data: bytes) -> list[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_bytes(data)
        return [(row["sentence"], row["label"]) for _, row in rows(file)]


@given(TABLES, st.booleans())
def test_what_was_written_is_read(table: list[tuple[str, str]], packed: bool) -> None:
    contents = {
        "csv": (table, written("csv", table)),
        "jsonl": (table, written("jsonl", table)),
        "tsv": (lines(table), "".join("\t".join(row) + "\n" for row in [tuple(COLUMNS), *lines(table)]).encode()),
    }
    for kind, (wanted, data) in contents.items():
        name = f"rows.{kind}.gz" if packed else f"rows.{kind}"
        assert read_back(name, gzip.compress(data) if packed else data) == wanted, kind


DAMAGES = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=4)), max_size=6)
NAMES = st.sampled_from(["csv", "tsv", "jsonl", "csv.gz", "tsv.gz", "jsonl.gz"])


def damaged(data: bytes, damages: list[tuple[float, bytes]], end: float) -> bytes:
    """Bytes overwritten here and there, and the end cut off."""
    changed = bytearray(data)
    for place, replacement in damages:
        start = int(place * len(changed))
        changed[start : start + len(replacement)] = replacement
    return bytes(changed[: round(end * len(changed))])


@settings(max_examples=300)
@given(NAMES, TABLES, DAMAGES, st.floats(0, 1))
def test_a_damaged_file_gives_rows_or_one_line(
    name: str, table: list[tuple[str, str]], damages: list[tuple[float, bytes]], end: float
) -> None:
    data = written("jsonl" if "jsonl" in name else "csv", table)
    must_refuse_or_read(name, damaged(gzip.compress(data) if name.endswith("gz") else data, damages, end))


@settings(max_examples=300)
@given(NAMES, st.binary(max_size=300), st.sampled_from([b"", gzip.compress(b"")[:10], b'{"sentence": ', b"[" * 10_000]))
def test_random_bytes_give_rows_or_one_line(name: str, data: bytes, start: bytes) -> None:
    must_refuse_or_read(name, start + data)


def must_refuse_or_read(name: str, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"rows.{name}"
        file.write_bytes(data)
        for read in (rows, read_text):
            try:
                read(file)
            except UserError as error:
                assert str(file) in str(error)
