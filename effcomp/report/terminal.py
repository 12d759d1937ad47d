"""The comparison table in a terminal."""

from typing import TextIO

from effcomp.record import Record
from effcomp.report.table import subject, texts

WIDEST = 220


def print_table(records: list[Record], stream: TextIO) -> None:
    """Print the table; a heading may take two lines, a cell never does."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    frame = texts(records)
    drawn = Table(title=subject(records[0]), box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for index, heading in enumerate(frame.columns):
        width = max(len(cell) for cell in frame[heading])
        drawn.add_column(heading, justify="right" if index else "left", no_wrap=False, min_width=width)
    for row in frame.values.tolist():
        drawn.add_row(*row)
    Console(file=stream, width=WIDEST).print(drawn)
