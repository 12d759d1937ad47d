"""Tables as users have them: what is ambiguous is refused by file and row, what is only unusual is read."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from effcomp.core.errors import UserError
from effcomp.tasks.base import Splits
from effcomp.tasks.splits import fold_of
from effcomp.tasks.tables import TableTask

ROWS = [("a warm film", "0"), ("a dull film", "1"), ("a long, long film", "1"), ("a film", "0")]
LISTED = {"labels": {"0": "good", "1": "bad"}}


def table(folder: Path, train: str, **settings: Any) -> TableTask:
    fields: dict[str, Any] = {"train_files": [train], "test_files": [train], "text": ["text"], "label": "label"}
    return TableTask(name="mine", data_dir=folder, max_length=16, **{**fields, **settings})


def load(folder: Path, content: str | bytes, name: str = "rows.csv", **settings: Any) -> Splits:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    task = table(folder, name, **settings)
    task.check()
    return task.load()


def csv_text(delimiter: str = ",") -> str:
    rows = [("text", "label"), *ROWS]
    return "".join(delimiter.join(f'"{cell}"' if delimiter in cell else cell for cell in row) + "\n" for row in rows)


def read(splits: Splits) -> list[tuple[str, str]]:
    return [(text, splits.label_names[i]) for text, i in zip(splits.train.texts, splits.train.labels, strict=True)]


NAMED = [(text, LISTED["labels"][label]) for text, label in ROWS]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_header_shows_the_columns_and_their_delimiter_with_and_without_a_byte_order_mark(
    delimiter: str, mark: bytes, tmp_path: Path
) -> None:
    assert read(load(tmp_path, mark + csv_text(delimiter).encode(), **LISTED)) == NAMED


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_files_that_were_saved_twice_or_on_an_old_mac_are_read(delimiter: str, tmp_path: Path) -> None:
    name = "rows.csv" if delimiter == "," else "rows.tsv"
    twice = b"\xef\xbb\xbf" * 2 + csv_text(delimiter).encode()
    assert read(load(tmp_path, twice, name, **LISTED)) == NAMED
    assert read(load(tmp_path, csv_text(delimiter).replace("\n", "\r"), name, **LISTED)) == NAMED


@pytest.mark.parametrize("header", ["\ufefftext,label", "Text,Label", "text, label"])
def test_a_header_that_joining_files_has_left_is_refused_however_it_is_written(header: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="row 4: the header stands there again; remove it"):
        load(tmp_path, f"text,label\na,wrong\nb,right\n{header}\nc,wrong\n")


def test_a_header_is_shown_with_what_nobody_sees(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no column text; it has: '\\u200btext', ' other', label"):
        load(tmp_path, "\u200btext, other,label\na,b,0\n")


def test_a_text_that_reads_like_a_missing_one_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    load(tmp_path, "text,label\nnan,0\nb,1\n", **LISTED)
    assert "1 of 2 texts are 'nan', as a missing one is written" in caplog.text


def test_a_delimiter_is_given_where_no_header_shows_it(tmp_path: Path) -> None:
    content = "".join(f"{text};{label}\n" for text, label in ROWS)
    assert read(load(tmp_path, content, columns=["text", "label"], delimiter=";", **LISTED)) == NAMED
    with pytest.raises(UserError, match=r"row 1: 'a warm film;0' is no header with text, label; write one, or list"):
        load(tmp_path, content, **LISTED)


def test_labels_that_are_not_listed_are_those_of_the_data_in_sorted_order(tmp_path: Path) -> None:
    splits = load(tmp_path, "text,label\na,wrong\nb,right\nc,wrong\n")
    assert splits.label_names == ("right", "wrong")
    assert splits.train.labels == (1, 0, 1)
    with pytest.raises(UserError, match="holds 'same' alone"):
        load(tmp_path, "text,label\na,same\n")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("text,label\na,Good\nb,good\nc,bad\n", "holds 'Good' and 'good', which read the same"),
        ("text,label\na,good\u200b\nb,good\nc,bad\n", r"holds 'good' and 'good\\u200b', which read the same"),
        ("text,label\na,caf\u00e9\nb,cafe\u0301\n", "which read the same; write them alike"),
        ("text,label\na,1.0\nb,1\nc,0\n", "holds '1' and '1.0', which read the same"),
        ("text,label\na,-0\nb,0\nc,1\n", "holds '-0' and '0', which read the same"),
        ("text,label\na,good\nb,nan\nc,bad\n", "holds 'nan' in 2 of 6 rows, as a missing label is written"),
        ("text,label\na,good\nb,\nc,bad\n", "the column label is empty in 2 of 6 rows"),
        ("text,label\n" + "".join(f"a,{i / 7}\n" for i in range(50)), "holds 50 values in 100 rows, which are no"),
        ("text,label\n,good\n ,bad\n", "the column text is empty in every row"),
        ("text,label\na,NULL\nb,good\nc,bad\n", "holds 'NULL' in 2 of 6 rows, as a missing label is written"),
        ("text,label\na,0\nb,1\nc,good\nd,bad\n", r"holds numbers \(0, 1\) and names \(bad, good\), as if written"),
    ],
    ids=["case", "invisible", "accent", "number", "zero", "missing", "empty", "values", "no text", "null", "two ways"],
)
def test_labels_and_texts_that_cannot_be_meant_are_refused(content: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        load(tmp_path, content)


def test_empty_texts_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    load(tmp_path, "text,label\na,good\n,bad\n")
    assert "rows.csv: 1 of 2 texts are empty" in caplog.text


def test_a_misspelt_column_of_a_table_with_semicolons_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the header has no column label; it has: id, text, stars"):
        load(tmp_path, "id;text;stars\n1;a, b;0\n2;b;1\n")


def test_a_header_of_other_names_and_a_label_of_the_test_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="row 1: no other row has the label 'stars', so this one reads like a header"):
        load(tmp_path, "sentence,stars\na,0\nb,1\n", columns=["text", "label"])
    (tmp_path / "test.csv").write_text("text,label\na,good\nb,mixed\n")
    with pytest.raises(UserError, match=r"test\.csv, row 3: no training row has the label 'mixed'"):
        load(tmp_path, "text,label\na,good\nb,bad\n", test_files=["test.csv"])


def test_all_unknown_labels_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"row 3: the labels '7', 'x' are none of 0, 1"):
        load(tmp_path, "text,label\na,0\nb,x\nc,7\nd,x\n", **LISTED)


def test_labels_that_are_numbers_may_be_listed_without_quotes(tmp_path: Path) -> None:
    assert read(load(tmp_path, csv_text(), labels={0: "good", 1: "bad"})) == NAMED
    floats = csv_text().replace(",0\n", ",0.0\n").replace(",1\n", ",1.0\n")
    assert read(load(tmp_path, floats, labels={0.0: "good", 1.0: "bad"})) == NAMED


@pytest.mark.parametrize("spelt", ["False True", "false true", "FALSE TRUE"])
def test_labels_that_are_truth_values_may_be_listed_in_one_way(spelt: str, tmp_path: Path) -> None:
    no, yes = spelt.split()
    rows = csv_text().replace(",0\n", f",{no}\n").replace(",1\n", f",{yes}\n")
    assert read(load(tmp_path, rows, labels={False: "good", True: "bad"})) == NAMED


def test_truth_values_of_json_are_labels_as_they_stand_there_and_its_first_row_is_no_header(tmp_path: Path) -> None:
    rows = '{"text": "a", "label": true}\n{"text": "b", "label": false}\n'
    assert read(load(tmp_path, rows, "rows.jsonl")) == [("a", "true"), ("b", "false")]
    for listed in ({False: "bad", True: "good"}, {"false": "bad", "true": "good"}):
        assert read(load(tmp_path, rows, "rows.jsonl", labels=listed)) == [("a", "good"), ("b", "bad")]


def test_a_label_that_is_part_of_the_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"task\.label=label: the text has this column too, and so its answer"):
        load(tmp_path, csv_text(), text=["text", "label"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"text": ["text", "text"]}, "text stands there twice"),
        ({"train_files": ["rows.csv", "rows.csv"]}, r"rows\.csv stands there twice"),
        ({"test_files": ["rows.csv", "rows.csv"]}, r"rows\.csv stands there twice"),
        ({"pair": "text"}, "the text has this column too; give the column of the second one"),
    ],
)
def test_what_is_named_twice_is_refused(settings: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises((UserError, ValidationError), match=words):
        load(tmp_path, csv_text(), **settings)


def test_equal_texts_that_change_the_share_of_the_test_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = "".join(f"film {i if i % 3 else 0},{i % 2}\n" for i in range(40))
    shared = load(tmp_path, "text,label\n" + rows, test_files=[], test_share=0.3)
    assert f"the test has {len(shared.test)} of 40 examples: equal texts stay on one side" in caplog.text


def test_labels_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="name at least 2 labels"):
        load(tmp_path, csv_text(), labels={"0": "same", "1": "same"})


def test_one_file_is_split_by_a_share_or_by_a_column(tmp_path: Path) -> None:
    rows = "".join(f"film {i},{i % 2},{('train', 'test', 'validation')[i % 3]}\n" for i in range(60))
    shared = load(tmp_path, "text,label,side\n" + rows, test_files=[], test_share=0.25)
    assert (len(shared.train), len(shared.test)) == (45, 15)
    assert not set(shared.train.texts) & set(shared.test.texts)
    folds = [fold_of(shared, 5, fold) for fold in range(5)]
    assert sorted(text for fold in folds for text in fold.test.texts) == sorted(shared.train.texts + shared.test.texts)
    assert {len(fold.train) for fold in folds} == {48}
    by_column = load(tmp_path, "text,label,side\n" + rows, test_files=[], split="side")
    assert len(fold_of(by_column, 5, 0).test) == 4, "a test of its own is not trained on"
    assert by_column.test.texts == tuple(f"film {i}" for i in range(60) if i % 3 == 1)
    assert by_column.rows == ((tmp_path / "rows.csv", 60, 40),)
    with pytest.raises(UserError, match="give one of them"):
        load(tmp_path, csv_text(), test_files=[], **LISTED)


REFUSED = {
    "header twice": ("text,label,label\na,0,1\n", "the column label stands there twice"),
    "header again": ("text,label\na,0\ntext,label\nb,1\n", "row 3: the header stands there again; remove it"),
    "NUL": ("text,label\na,0\nb\0,1\n", "after row 2: byte 0x00 is no text; save the file as text in UTF-8"),
    "more cells": ("text,label\na long, long film,0\n", "row 2: 3 cells, and there are 2 columns; quote a cell"),
    "quote that ends with the file": ('text,label\na,0\n"b,1\nc,0\n', "after row 2: a quote opens a cell and never"),
    "quote that ends in another row": ('text,label\n"a,0\nb,1\n"c" d,0\n', "text follows the quote that closes"),
    "rows inside a quote, semicolons": ('text;label\n"a;0\nb;1\nc";1\n', "holds lines that are rows of their own"),
    "a row inside a quote, label first": (
        'label,text\n1,"a film\n0,screen"\n',
        "lines that are rows of their own",
    ),
    "rows inside a quote": ('text,label\n"a,0\nb,1\nc",1\n', "holds lines that are rows of their own"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_ambiguous_table_is_refused(name: str, tmp_path: Path) -> None:
    content, words = REFUSED[name]
    with pytest.raises(UserError, match=words) as caught:
        load(tmp_path, content, **LISTED)
    assert str(tmp_path / "rows.csv") in str(caught.value)


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    content = "\n" + csv_text().replace("\n", "\n\n")
    assert read(load(tmp_path, content, **LISTED)) == NAMED


def test_labels_that_are_numbers_are_sorted_as_numbers(tmp_path: Path) -> None:
    content = "text,label\n" + "".join(f"film {i},{i % 12}\n" for i in range(36))
    assert load(tmp_path, content).label_names == tuple(map(str, range(12)))


def test_labels_in_sorted_order_are_sorted_without_their_spaces(tmp_path: Path) -> None:
    assert load(tmp_path, "text,label\na, wrong\nb,right\nc,wrong\n").label_names == ("right", "wrong")


def test_a_long_cell_and_a_text_of_several_lines_are_read(tmp_path: Path) -> None:
    long = "word " * 40_000
    splits = load(tmp_path, f'text,label\n{long},0\n"one, two\nthree",1\n', **LISTED)
    assert splits.train.texts == (long.strip(), "one, two\nthree")


def test_a_tsv_that_pandas_wrote_is_unquoted_and_a_published_one_is_not(tmp_path: Path) -> None:
    written = 'text\tlabel\n"he said ""no"" twice"\t0\nplain\t1\n'
    assert load(tmp_path, written, "rows.tsv", **LISTED).train.texts == ('he said "no" twice', "plain")
    all_quoted = '"text"\t"label"\n"a film"\t0\n"plain"\t1\n'
    assert load(tmp_path, all_quoted, "rows.tsv", **LISTED).train.texts == ("a film", "plain")
    one_column = 'text\tlabel\n"a film"\tgood\n"plain"\tbad\n'
    assert load(tmp_path, one_column, "rows.tsv").train.texts == ("a film", "plain")
    published = 'text\tlabel\n"a film"\t0\n"an open quote\t1\nhe said ""no""\t1\n'
    texts = ('"a film"', '"an open quote', 'he said ""no""')
    assert load(tmp_path, published, "rows.tsv", **LISTED).train.texts == texts


def test_a_tsv_without_a_header_may_have_a_column_that_is_not_read_and_no_more(tmp_path: Path) -> None:
    columns = {"columns": ["text", "label"], **LISTED}
    assert load(tmp_path, "a\t0\tmnli\nb\t1\tmnli\n", "rows.tsv", **columns).train.texts == ("a", "b")
    with pytest.raises(UserError, match=r"rows\.tsv, row 2: 4 cells, and there are 3 columns"):
        load(tmp_path, "a\t0\tmnli\nb\t1\tmnli\tmore\n", "rows.tsv", **columns)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("NaN", "text is nan, no text"),
        ("-Infinity", "text is -inf, no text"),
        ('["a", "b"]', "text is a list; give text"),
        ('{"a": 1}', "text is an object; give text"),
        ('"\\ud83d"', r"text holds '\\ud83d', half a character"),
        ('"a", "text": "b"', "the field text stands there twice"),
    ],
)
def test_a_json_value_that_is_no_text_is_refused(value: str, words: str, tmp_path: Path) -> None:
    rows = json.dumps({"text": "a", "label": 0}) + f'\n{{"text": {value}, "label": 1}}\n'
    with pytest.raises(UserError, match=f"row 2: {words}"):
        load(tmp_path, rows, "rows.jsonl", **LISTED)


def test_an_empty_text_is_one_token_for_a_decoder(tiny_gpt2: Path) -> None:
    from transformers import AutoTokenizer

    from effcomp.tasks.base import Examples
    from effcomp.tasks.encoding import encode

    tokenizer = AutoTokenizer.from_pretrained(tiny_gpt2)
    tokens = encode(Examples(("", "a film")), tokenizer, 16)
    assert tokens.batch([0])["input_ids"].tolist() == [[tokenizer.eos_token_id]]
    assert tokens.batch([0])["attention_mask"].tolist() == [[1]]
