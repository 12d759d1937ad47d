"""The table in a terminal: as wide as a line, or with all columns."""

import io

import pytest

from effcomp.core.text import TEXT_WIDTH
from effcomp.record import Record
from effcomp.report.sources import find_records
from effcomp.report.table.comparison import compare
from effcomp.report.table.further import further_tables
from effcomp.report.table.terminal import LINE, print_comparison
from tests.conftest import ROOT

FILES = ["demo.jsonl", "pruning.jsonl", "cpu/smollm2_bbc_news.jsonl", "h100/gpt2.jsonl", "real_data/gsm8k_h100.jsonl"]


def printed(records: list[Record], all_columns: bool = False) -> str:
    stream = io.StringIO()
    print_comparison(compare(records), further_tables(records), stream, all_columns)
    return stream.getvalue()


@pytest.mark.parametrize("name", FILES)
def test_the_table_is_as_wide_as_a_line_and_names_what_it_leaves_out(name: str) -> None:
    found = find_records(ROOT / "benchmarks" / name)
    text, whole = printed(found), printed(found, all_columns=True)
    table = text[: text.index("with --all-columns also")]
    assert max(map(len, table.splitlines())) <= LINE
    assert max(map(len, text.removeprefix(table).partition("\n\n")[0].splitlines())) <= TEXT_WIDTH
    for heading in ("speed-up", "artifact"):
        assert heading in table
    assert "with --all-columns" not in whole
    assert max(map(len, whole.splitlines())) > LINE
    assert "+load" in whole and "+load" not in table


def test_the_means_over_repeats_are_as_wide_as_a_line() -> None:
    records = find_records(ROOT / "benchmarks/demo.jsonl")
    repeated = [
        record.model_copy(update={"config": {**record.config, "seed": seed}}) for record in records for seed in (0, 1)
    ]
    means = printed(repeated).partition("means over seeds or folds")[2]
    assert max(map(len, means.splitlines())) <= LINE
    assert "accuracy" in means and "with --all-columns also" in means
