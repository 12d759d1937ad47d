"""The comparison table in a terminal."""

from typing import TYPE_CHECKING, TextIO

from effcomp.record import Record
from effcomp.report.repeats import MEANS, repeats_table
from effcomp.report.rows import subject
from effcomp.report.table import texts

if TYPE_CHECKING:
    import pandas as pd

WIDEST = 320
"""A table is never squeezed: a terminal that is narrower wraps or scrolls, a file keeps whole lines."""


def print_table(records: list[Record], stream: TextIO) -> None:
    """Print the comparison, and where configurations were repeated their means."""
    print_frame(subject(records), texts(records), stream)
    if (means := repeats_table(records)) is not None:
        print_frame(MEANS, means, stream)


def print_frame(title: str, frame: "pd.DataFrame", stream: TextIO) -> None:
    """Print a table; a heading takes two lines (what, unit), a cell one."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, heading in enumerate(frame.columns):
        drawn.add_column(heading.replace(", ", "\n"), justify="right" if index else "left", no_wrap=True)
    for row in frame.values.tolist():
        drawn.add_row(*row)
    console = Console(width=WIDEST, color_system=None)
    with console.capture() as captured:
        console.print(drawn)
    lines = [f"\n{title}", *captured.get().splitlines()]
    print("\n".join(line.rstrip() for line in lines), file=stream)
