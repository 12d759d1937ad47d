"""Comparison in a terminal."""

from dataclasses import replace
from textwrap import fill, wrap
from typing import TYPE_CHECKING, TextIO

from effcomp.core.text import TEXT_WIDTH, labelled
from effcomp.report.choose.fronts import MOST_SHOWN, scope
from effcomp.report.choose.recommend import Recommendation
from effcomp.report.rows import subject
from effcomp.report.table.comparison import Comparison
from effcomp.report.table.drift import drifts

if TYPE_CHECKING:
    import pandas as pd

LINE = 120
"""Characters in a line of a table."""
NAME = 48
"""Characters in a line of a configuration's name; a longer one takes several lines."""
PREFERRED = (
    "verdict",
    "speed-up, batch 1",
    "artifact",
    "accuracy difference",
    "decode",
    "latency p50",
    "peak",
    "notes",
)
"""Beginnings of the headings that a line shows first, after the configuration and its quality."""
WIDEST = 10_000
"""A table is never squeezed: a terminal that is narrower wraps or scrolls, a file keeps whole lines."""


def print_comparison(
    comparison: Comparison, further: "list[tuple[str, pd.DataFrame]]", stream: TextIO, all_columns: bool = False
) -> None:
    """Print a comparison and its further tables; of very many configurations those near the Pareto fronts.

    Args:
        all_columns: print those too that a line of LINE characters has no room for.
    """
    rows, shown = comparison.rows, comparison.shown
    title = subject([row.record for row in rows]) + scope(len(shown), len(rows))
    frame = replace(comparison, rows=shown).texts()
    print_fitting(title, frame, frame if all_columns else fitted(frame), stream)
    for sentence in drifts([row.record for row in rows]):
        print(f"{fill(sentence, TEXT_WIDTH)}\n", file=stream)
    for caption, frame in further:
        more = f" (the first {MOST_SHOWN} of {len(frame):,})" if len(frame) > MOST_SHOWN else ""
        head = frame.head(MOST_SHOWN)
        print_fitting(caption + more, head, head if all_columns else fitted(head, first=3), stream)


def print_fitting(title: str, frame: "pd.DataFrame", fitting: "pd.DataFrame", stream: TextIO) -> None:
    """Print the columns of a table that fit, and the names of the others."""
    print_frame(title, fitting, stream)
    if left := ", ".join(heading.partition(",")[0] for heading in frame.columns if heading not in fitting.columns):
        print(f"{fill(f'with --all-columns also: {left}', TEXT_WIDTH)}\n", file=stream)


def print_recommendation(recommendation: Recommendation, stream: TextIO) -> None:
    """Print the best configuration, and a line for each of the next."""
    print("\n" + fill(f"recommended for {recommendation.asked}", TEXT_WIDTH), file=stream)
    if recommendation.level is not None:
        print(fill(f"({recommendation.level})", TEXT_WIDTH), file=stream)
    print(file=stream)
    for mark, line in [
        ("best" if recommendation.winners else "none", recommendation.best),
        *(("*", line) for line in recommendation.front),
        *(("-", line) for line in recommendation.others),
    ]:
        print(labelled(mark, line, 6), file=stream)


def fitted(frame: "pd.DataFrame", first: int = 2) -> "pd.DataFrame":
    """Leave out columns that LINE characters have no room for: after the first ones preferred ones are taken, then from
    the left."""
    headings = list(frame.columns)
    ranks = [next((rank for rank, start in enumerate(PREFERRED) if name.startswith(start)), None) for name in headings]
    order = sorted(range(first, len(headings)), key=lambda at: (ranks[at] is None, ranks[at] or 0, at))
    kept = headings[:first]
    for at in order:
        wider = [name for name in headings if name in kept or name == headings[at]]
        if max(map(len, drawn(frame[wider]))) <= LINE:
            kept = wider
    return frame[kept]


def print_frame(title: str, frame: "pd.DataFrame", stream: TextIO) -> None:
    """Print a table under its title."""
    print("\n".join(["", *wrap(title, TEXT_WIDTH), *drawn(frame)]), file=stream)


def drawn(frame: "pd.DataFrame") -> list[str]:
    """Return the lines of a table; a heading takes two lines (what, unit), a long name several, another cell one."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, heading in enumerate(frame.columns):
        table.add_column(heading.replace(", ", "\n"), justify="right" if index else "left", no_wrap=True)
    for name, *cells in frame.values.tolist():
        table.add_row("\n".join(wrap(name, NAME, subsequent_indent="  ", break_on_hyphens=False)), *cells)
    console = Console(width=WIDEST, color_system=None)
    with console.capture() as captured:
        console.print(table)
    return [line.rstrip() for line in captured.get().splitlines()]
