"""One self-contained HTML page: the table, the verdicts, the figures."""

import base64
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from effcomp.record import Record
from effcomp.report.columns import columns
from effcomp.report.repeats import MEANS
from effcomp.report.rows import is_baseline, rows, subject
from effcomp.report.words import doubts, verdict

if TYPE_CHECKING:
    import pandas as pd

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1900px; margin: 2rem auto; padding: 0 1rem; color: #1c2128; }
table { border-collapse: collapse; font-size: 13px; } .wide { overflow-x: auto; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid #d0d7de; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { cursor: pointer; background: #f6f8fa; }
tbody tr:first-child { background: #f6f8fa; } img { max-width: 100%; } .note { color: #57606a; font-size: 13px; }
"""
FOLDS_NOTE = """<p class="note">Over folds the interval is widened for the training examples that they share (Nadeau and
Bengio 2003); over seeds it says what another seed would change, and nothing about other examples.</p>"""
SORT = """
document.querySelectorAll('th').forEach((th, i) => th.addEventListener('click', () => {
  const body = th.closest('table').tBodies[0], up = th.dataset.up !== '1';
  th.dataset.up = up ? '1' : '0';
  const key = row => { const v = row.cells[i].dataset.value, n = Number(v); return v === '' || isNaN(n) ? v : n; };
  [...body.rows].sort((a, b) => { const x = key(a), y = key(b); return (x < y ? -1 : x > y ? 1 : 0) * (up ? 1 : -1); })
    .forEach(row => body.append(row));
}));
"""


def page(records: list[Record], means: "pd.DataFrame | None", left_out: list[str], figures: list[Path]) -> str:
    """The page as text; figures (PNG) are put inside it."""
    shown, named = columns(records), rows(records)
    head = "".join(f"<th title='sort'>{escape(column.heading)}</th>" for column in shown)
    body = "\n".join(
        "<tr>"
        + "".join(
            f'<td data-value="{escape(str(value if (value := column.value(row)) is not None else ""))}">'
            f"{escape(column.text(row))}</td>"
            for column in shown
        )
        + "</tr>"
        for row in named
    )
    verdicts = "\n".join(f"<li>{escape(verdict(row))}</li>" for row in named)
    doubtful = "".join(f"<li>{escape(doubt)}</li>" for row in named for doubt in doubts(row))
    missing = "".join(f"<li>{escape(reason)}</li>" for reason in left_out)
    noise = ""
    if is_baseline(records[0]):
        noise = "The first row measures the baseline against itself, which shows the noise."
    repeated = ""
    if means is not None:
        table = means.to_html(index=False, border=0)
        repeated = f"<h2>{MEANS[0].upper()}{MEANS[1:]}</h2><div class='wide'>{table}</div>{FOLDS_NOTE}"
    images = "\n".join(
        f'<p><img alt="{figure.stem}" src="data:image/png;base64,{base64.b64encode(figure.read_bytes()).decode()}"></p>'
        for figure in figures
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(subject(records))}</title><style>{STYLE}</style></head>
<body>
<h1>{escape(subject(records))}</h1>
<p class="note">{escape(circumstances(records))}</p>
<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>
{body}
</tbody></table></div>
<p class="note">A click on a heading sorts. Brackets are 95 % intervals. Speed-up: the float32 baseline and the
configuration ran in turn, each in its own process, on the same batches. {escape(noise)} Difference: against the
baseline on the same examples.</p>
{repeated}
<h2>In words</h2><ul>
{verdicts}
</ul>
{f"<h2>Read with care</h2><ul>{doubtful}</ul>" if doubtful else ""}
{f"<h2>Left out</h2><ul>{missing}</ul>" if left_out else ""}
<h2>Figures</h2>
{images}
<script>{SORT}</script>
</body></html>
"""


def circumstances(records: list[Record]) -> str:
    """When and on what the records were measured, each distinct machine, thread count and set of versions once."""
    truths = [record.truth for record in records]

    def distinct(values: Iterable[str]) -> str:
        return "; ".join(dict.fromkeys(values))

    return (
        f"Measured {min(truth.time for truth in truths)} to {max(truth.time for truth in truths)} on "
        + distinct(f"{t.device} ({' '.join(t.instruction_sets)}), {t.threads} threads" for t in truths)
        + "; "
        + distinct(f"{t.test_examples} test examples" for t in truths)
        + "; "
        + distinct(", ".join(f"{name} {version}" for name, version in t.libraries.items()) for t in truths)
        + "."
    )
