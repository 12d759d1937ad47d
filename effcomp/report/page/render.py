"""Self-contained HTML page: recommendation, plot, table, verdicts, figures.

page.html is the frame, page.css its look; page.js filters, sorts and draws from what this module puts in.
"""

import base64
import gzip
import io
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from effcomp.core.interval import Interval
from effcomp.record import Quality, Record
from effcomp.report.choose.fronts import examples, scope
from effcomp.report.choose.recommend import Recommendation
from effcomp.report.figures.bars import DPI
from effcomp.report.objectives import OBJECTIVES, comparable, keeps_time
from effcomp.report.rows import NamedRecord, subject
from effcomp.report.table.columns import Column
from effcomp.report.table.comparison import Comparison
from effcomp.report.table.drift import drifts
from effcomp.report.table.repeats import MEANS
from effcomp.report.words import doubts, verdict

if TYPE_CHECKING:
    import pandas as pd

HERE = Path(__file__).parent
FOLDS_NOTE = """<p class="note">Over folds the interval is widened for the training examples that they share (Nadeau and
Bengio 2003); over seeds it holds the mean over all seeds, and says nothing about other examples.</p>"""
OWN_TIMES_NOTE = " Latencies on cuda_graphs are compared as they are: the ratio's noise is the baseline's there."
NOISE_NOTE = "The baseline is measured against itself too, which shows the noise."


@dataclass(frozen=True)
class Contents:
    """Contents of a page."""

    comparison: Comparison
    texts: "pd.DataFrame"
    """Its table with every interval."""
    further: "list[tuple[str, pd.DataFrame]]"
    """Tables after it, with their captions."""
    left_out: list[str]
    figures: list[Path]
    """PNG files, which are put inside the page."""
    recommendation: Recommendation | None


def page(contents: Contents) -> str:
    """Return the page as text."""
    from plotly.offline import get_plotlyjs

    rows = contents.comparison.rows
    records = [row.record for row in rows]
    drawn = scope(len(contents.comparison.shown), len(rows))
    return Template((HERE / "page.html").read_text()).substitute(
        title=escape(subject(records)),
        style=(HERE / "page.css").read_text(),
        plotly=base64.b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode(),
        script=(HERE / "page.js").read_text(),
        data=json.dumps(plot_data(rows)).replace("<", "\\u003c"),
        count=f"{len(rows):,} configuration{'s' if len(rows) > 1 else ''}",
        when=escape(span(record.truth.time.partition("T")[0] for record in records)),
        where=escape(joined(record.truth.machine.device for record in records)),
        recommendation=recommended(contents.recommendation),
        comparison=table(contents.texts, contents.comparison.columns),
        own_times=OWN_TIMES_NOTE if any(keeps_time(OBJECTIVES["latency_p50_ms"], one) for one in records) else "",
        noise=NOISE_NOTE if records[0].is_baseline else "",
        verdicts="\n".join(f"<li>{named(row, verdict(row))}</li>" for row in rows),
        words_open="" if drawn else "open",
        doubts=section("Read with care", items([*drifts(records), *(doubt for row in rows for doubt in doubts(row))])),
        left_out=section("Left out", items(contents.left_out)),
        further="".join(further_section(caption, frame) for caption, frame in contents.further),
        drawn=f'<p class="note">Drawn{drawn}; the plot and the table above have all.</p>' if drawn else "",
        figures="".join(map(image, contents.figures)),
        confusions=folded("Confusion matrices", "".join(map(confusion, contents.comparison.matrices))),
        circumstances=escape(circumstances(records)),
    )


def plot_data(rows: list[NamedRecord]) -> dict[str, Any]:
    """Return the data that page.js draws and filters: for each configuration its choices and the objectives that any
    of them has, as [value, low, high] in the units of their labels."""
    records = [row.record for row in rows]
    values = {key: comparable(objective, records) for key, objective in OBJECTIVES.items()}
    measured = {key: found for key, found in values.items() if any(found)}
    test_sets = list(dict.fromkeys(examples(record) for record in records))
    return {
        "objectives": [
            {"key": key, "label": OBJECTIVES[key].label, "direction": OBJECTIVES[key].direction} for key in measured
        ],
        "points": [
            {
                "name": row.name,
                "baseline": row.record.is_baseline,
                "choices": row.record.choices,
                "testSet": test_sets.index(examples(row.record)),
                "at": {
                    key: triple(one, OBJECTIVES[key].quantity.scale)
                    for key, found in measured.items()
                    if (one := found[index]) is not None
                },
            }
            for index, row in enumerate(rows)
        ],
    }


def triple(interval: Interval, scale: float) -> list[float]:
    return [float(f"{number * scale:.6g}") for number in (interval.value, interval.low, interval.high)]


def table(frame: "pd.DataFrame", columns: Iterable[Column] = ()) -> str:
    """Return a table whose headings are buttons that sort; units and intervals are set smaller.

    Args:
        columns: those of the comparison; their headings explain themselves, and sort the best first.
    """
    known = {column.heading: attributes(column) for column in columns}
    head = "".join(f"<th{known.get(words, '')}><button>{heading(words)}</button></th>" for words in frame.columns)
    body = "\n".join("<tr>" + "".join(map(cell, line)) + "</tr>" for line in frame.values.tolist())
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def attributes(column: Column) -> str:
    """Return the tooltip of a heading, and the direction in which its numbers improve."""
    better = f"{column.better.capitalize()} is better." if column.better is not None else ""
    title = " ".join(filter(None, [column.meaning.rstrip(".") + ".", better]))
    direction = f' data-better="{column.better}"' if column.better is not None else ""
    return f' title="{escape(title)}"{direction}'


def heading(words: str) -> str:
    what, _, unit = words.partition(", ")
    return f"<span>{escape(what)}</span><small>{escape(unit)}</small>"


def cell(text: str) -> str:
    """Return a cell: a verdict is coloured, an interval set smaller."""
    if text in ("not worse", "worse", "undecided"):
        return f'<td><span class="{text.replace(" ", "-")}">{text}</span></td>'
    return f"<td>{re.sub(INTERVAL, SMALL, escape(text))}</td>"


INTERVAL, SMALL = re.compile(r" (\[[^]=]*\])"), r" <small>\1</small>"


def named(row: NamedRecord, words: str) -> str:
    """Return a sentence that begins with the configuration's name, which is set bold."""
    return f"<b>{escape(row.name)}</b>{escape(words.removeprefix(row.name))}"


def recommended(found: Recommendation | None) -> str:
    if found is None:
        return ""
    asked, best = escape(found.asked), escape(found.best)
    level = "" if found.level is None else f"<p>{escape(found.level)}</p>"
    return f"""<section class="recommendation"><h2>Recommended <code>{asked}</code></h2>
<p><strong>{best}</strong></p>{items(found.front)}{level}{items(found.others)}</section>"""


def items(lines: Iterable[str]) -> str:
    """Return a list; an empty string for no items."""
    inner = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{inner}</ul>" if inner else ""


def section(title: str, inner: str) -> str:
    """Return a section with its heading; an empty string for an empty section."""
    return f"<section><h2>{escape(title[0].upper() + title[1:])}</h2>{inner}</section>" if inner else ""


def folded(title: str, inner: str) -> str:
    return f"<details><summary>{title}</summary>{inner}</details>" if inner else ""


def further_section(caption: str, frame: "pd.DataFrame") -> str:
    """Return a section: the caption's first sentence is the heading, the others stand below the table."""
    title, _, rest = caption.partition(". ")
    note = FOLDS_NOTE if caption == MEANS else f'<p class="note">{escape(rest)}</p>'
    return section(title, f'<div class="wide">{table(frame)}</div>{note}')


def image(file: Path) -> str:
    """Return a figure inside the page, as wide on a screen (96 pixels to the inch) as it is on paper.

    In 256 colours, of which a figure has fewer, it takes two fifths of the bytes.
    """
    from PIL import Image

    with Image.open(file) as picture:
        few = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    content = io.BytesIO()
    few.save(content, "PNG", optimize=True)
    encoded = base64.b64encode(content.getvalue()).decode()
    width = round(few.width * 96 / DPI)
    return f'<img alt="{escape(file.stem)}" width="{width}" src="data:image/png;base64,{encoded}">\n'


def confusion(row: NamedRecord) -> str:
    """Return the confusion matrix of a classifier in counts, shaded by shares of the true label; empty for others."""
    quality = row.record.quality
    if not isinstance(quality, Quality):
        return ""
    labels = [escape(label) for label in quality.per_class]
    head = "".join(f"<th>{label}</th>" for label in labels)
    body = ""
    for label, counts in zip(labels, quality.confusion_matrix, strict=True):
        total = max(1, sum(counts))
        cells = "".join(f'<td style="--share:{count / total:.3f}">{count}</td>' for count in counts)
        body += f"<tr><th scope=row>{label}</th>{cells}</tr>"
    return f"""<figure><figcaption>{escape(row.name)}</figcaption><table class="matrix">
<thead><tr><th>true \\ predicted</th>{head}</tr></thead><tbody>{body}</tbody></table></figure>
"""


def joined(values: Iterable[str]) -> str:
    """Return the distinct values, joined by semicolons."""
    return "; ".join(dict.fromkeys(values))


def span(dates: Iterable[str]) -> str:
    found = sorted(set(dates))
    return found[0] if len(found) == 1 else f"{found[0]} to {found[-1]}"


def circumstances(records: list[Record]) -> str:
    """Return dates, machines, thread counts and versions of the records, each distinct one once."""
    truths = [record.truth for record in records]
    machines = [truth.machine for truth in truths]
    return (
        f"Measured {min(truth.time for truth in truths)} to {max(truth.time for truth in truths)} on "
        + joined(f"{m.device} ({' '.join(m.instruction_sets)}), {m.threads} threads" for m in machines)
        + "; "
        + joined(f"{t.data.test_examples} test examples" for t in truths)
        + "; "
        + ", ".join(dict.fromkeys(" ".join(found) for t in truths for found in t.software.libraries.items()))
        + "."
    )
