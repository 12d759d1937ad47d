"""Rows of published files, and the faults that are named by file and row."""

import gzip
from pathlib import Path

import pytest

from effcomp.errors import UserError
from effcomp.tasks.files import read_rows

COLUMNS = ["sentence", "label"]


def rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    return list(read_rows(file, COLUMNS, COLUMNS))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("header", ["", "sentence\tlabel\n", "label\tsentence\n"])
def test_a_header_is_known_by_its_names(header: str, packed: bool, tmp_path: Path) -> None:
    line = "0\tgood\n" if header.startswith("label") else "good\t0\n"
    file = tmp_path / ("train.tsv.gz" if packed else "train.tsv")
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
