"""The comparison table in a terminal."""

from typing import TextIO

from effcomp.record import Record
from effcomp.report.table import subject, texts

WIDEST = 250
"""A table is never squeezed: a terminal that is narrower wraps or scrolls, a file keeps whole lines."""


def print_table(records: list[Record], stream: TextIO) -> None:
    """Print the table; a heading takes two lines (what, unit), a cell one."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    frame = texts(records)
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, heading in enumerate(frame.columns):
        drawn.add_column(heading.replace(", ", "\n"), justify="right" if index else "left", no_wrap=True)
    for row in frame.values.tolist():
        drawn.add_row(*row)
    console = Console(width=WIDEST, color_system=None)
    with console.capture() as captured:
        console.print(drawn)
    lines = [f"\n{subject(records)}", *captured.get().splitlines()]
    print("\n".join(line.rstrip() for line in lines), file=stream)
