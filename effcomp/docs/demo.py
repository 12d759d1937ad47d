"""Generator of the README's picture and table, from the records of the demo:  python -m effcomp.docs.demo

Draws docs/demo.svg and rewrites the table between the markers in README.md, in the current folder.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from effcomp.record import Record
from effcomp.report.choose.fronts import tradeoffs
from effcomp.report.figures.tradeoff import tradeoff_figure
from effcomp.report.objectives import OBJECTIVES, comparable
from effcomp.report.rows import rows, subject
from effcomp.report.sources import find_records
from effcomp.report.table.comparison import compare, to_markdown

RECORDS = Path("benchmarks/demo.jsonl")
PICTURE = Path("docs/demo.svg")
BLOCK = re.compile(r"(?<=<!-- table of the demo -->\n).*?(?=<!-- end -->)", re.DOTALL)
LONGEST = 6
"""Maximum number of rows of the table."""
COLUMNS = ("configuration", "accuracy difference, points", "verdict", "speed-up, batch 1", "artifact, MiB")


def picture(records: Sequence[Record]) -> Figure:
    """Draw the paired accuracy difference against the speed-up, with the Pareto front."""
    found = tradeoffs(rows(records), "speedup", ("accuracy_difference",))
    return tradeoff_figure(found, subject(records))


def table(records: Sequence[Record]) -> str:
    """Return a Markdown table of the baseline and the fastest configurations."""
    speeds = [0.0 if one is None else one.value for one in comparable(OBJECTIVES["speedup"], records)]
    ranked = sorted(zip(speeds, records, strict=True), key=lambda pair: (not pair[1].is_baseline, -pair[0]))
    texts = compare([record for _, record in ranked[:LONGEST]]).texts()
    return to_markdown(texts[list(COLUMNS)])


def block(records: Sequence[Record]) -> str:
    """Return the text between the markers: the table, and date and machine of its measurement."""
    return f"\n{table(records)}\n{measured_on(records[-1])}\n\n"


def measured_on(record: Record) -> str:
    """Return date and machine in words."""
    machine = record.truth.machine
    return f"Measured {record.truth.time[:10]} on {machine.device}, {machine.threads} threads ([records]({RECORDS}))."


if __name__ == "__main__":
    measured = find_records(RECORDS)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "effcomp"}):
        picture(measured).savefig(PICTURE, metadata={"Date": None})
    readme = Path("README.md")
    readme.write_text(BLOCK.sub(lambda _: block(measured), readme.read_text()))
