"""docs/record.md describes the Record that the code has."""

from effcomp.docs.record import describe
from effcomp.record import Record
from effcomp.record.row import rows_in
from tests.conftest import ROOT


def test_the_page_is_that_of_the_code() -> None:
    assert (ROOT / "docs/record.md").read_text() == describe(), "run `make docs`"


def test_every_field_has_a_meaning() -> None:
    waiting, seen = [Record], {Record}
    while waiting:
        row = waiting.pop()
        assert row.__doc__, row
        for name, field in row.model_fields.items():
            assert field.description, f"{row.__name__}.{name}"
            inner = set(rows_in(field.annotation)) - seen
            seen |= inner
            waiting += inner
    assert len(seen) > 15
