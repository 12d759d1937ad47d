"""Tables after the comparison, for records that have data for them."""

from typing import TYPE_CHECKING

from effcomp.record import Record
from effcomp.report.table.repeats import MEANS, repeats_table
from effcomp.report.table.study import study_tables

if TYPE_CHECKING:
    import pandas as pd


def further_tables(records: list[Record]) -> "list[tuple[str, pd.DataFrame]]":
    """Return the tables with their captions, every cell as text, in the order of the terminal and the page."""
    means = repeats_table(records)
    return [*([(MEANS, means)] if means is not None else []), *study_tables(records)]
