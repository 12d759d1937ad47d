"""Report of records: tables, figures and page in a folder."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib import rc_context

from effcomp.core.errors import UserError
from effcomp.record import Quality, Record
from effcomp.report.choose.fronts import among, scope, tradeoffs
from effcomp.report.choose.goal import Goal
from effcomp.report.choose.recommend import Recommendation, compared, recommend
from effcomp.report.figures import bars
from effcomp.report.figures.confusion import confusion_figure
from effcomp.report.figures.curves import training_figure
from effcomp.report.figures.layers import layer_figure
from effcomp.report.figures.tradeoff import throughput_figure, tradeoff_figure
from effcomp.report.page.render import Contents, page
from effcomp.report.rows import NamedRecord, subject
from effcomp.report.sources import REPORT_FOLDER, RecordWithCurves, find, is_uri
from effcomp.report.table.comparison import Comparison, compare, to_markdown
from effcomp.report.table.further import further_tables

if TYPE_CHECKING:
    import pandas as pd

CONFUSIONS = "confusion_matrices"
LONGEST_STEM = 100


@dataclass(frozen=True)
class Report:
    """A written report."""

    comparison: Comparison
    """The baseline first, then as they were measured."""
    further: "list[tuple[str, pd.DataFrame]]"
    recommendation: Recommendation | None
    folder: Path
    page: Path

    @property
    def records(self) -> list[Record]:
        return [row.record for row in self.comparison.rows]


def write_report(source: Path, left_out: list[str]) -> Report:
    """Write the report of all records of a folder or file into the folder of `target_of`.

    Args:
        left_out: configurations without a record, each with its reason.
    """
    return write(find([str(source)]), target_of([str(source)]), left_out, None)


def target_of(sources: Sequence[str]) -> Path:
    """Return the folder of a report: FOLDER/results, NAME_results for NAME.jsonl, ./results for other sources or
    several.
    """
    if len(sources) > 1 or is_uri(sources[0]):
        return Path(REPORT_FOLDER)
    source = Path(sources[0])
    return source / REPORT_FOLDER if source.is_dir() else source.with_name(f"{source.stem}_{REPORT_FOLDER}")


def write(found: list[RecordWithCurves], target: Path, left_out: list[str], goal: Goal | None) -> Report:
    """Write tables, figures and page into a folder, which is created.

    Raises:
        UserError: the folder cannot be made, or the goal of the recommendation does not fit the records.
    """
    records = [one.record for one in found]
    comparison, further = compare(records), further_tables(records)
    rows = comparison.rows
    recommendation = recommend(rows, goal, compared(rows, goal)) if goal is not None else None
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{target} cannot be made: {error.strerror}; give another folder with --out") from error
    for file in target.iterdir():
        if OF_A_REPORT.fullmatch(file.name):
            file.unlink()
    texts = comparison.texts(every_interval=True)
    (target / "comparison_table.md").write_text(to_markdown(texts))
    comparison.values().to_csv(target / "comparison_table.csv", index=False)
    if further:
        captioned = [f"{caption}\n\n{to_markdown(frame)}" for caption, frame in further]
        (target / "further_tables.md").write_text("\n".join(captioned))
    drawn = draw_figures(found, comparison, target)
    draw_confusions(comparison.matrices, target / CONFUSIONS)
    contents = Contents(comparison, texts, further, left_out, drawn, recommendation)
    (target / "index.html").write_text(page(contents))
    return Report(comparison, further, recommendation, target, target / "index.html")


OF_A_REPORT = re.compile(
    r"(performance_comparison|efficiency_comparison|training_curves|throughput_perplexity|quality_\w+|layer_map_\d+)"
    r"\.(png|pdf|svg)|further_tables\.md"
)
"""Files that a report writes where it has data for them: those of an earlier one are taken away."""


def draw_figures(found: list[RecordWithCurves], comparison: Comparison, target: Path) -> list[Path]:
    """Draw every figure that these records have data for, as NAME.png, .pdf and .svg; return the PNG files."""
    rows, drawn_rows = comparison.rows, comparison.shown
    shown = {row.name for row in drawn_rows}
    drawn_found = [one for one, row in zip(found, rows, strict=True) if row.name in shown]
    about = subject([row.record for row in rows]) + scope(len(shown), len(rows))
    throughput = among(tradeoffs(rows, "throughput_tokens_per_s", ("perplexity",)), shown)
    drawn = {
        "performance_comparison": bars.performance_figure(drawn_rows, about),
        "efficiency_comparison": bars.efficiency_figure(drawn_rows, about),
        "training_curves": training_figure(drawn_found, drawn_rows, about),
        "throughput_perplexity": throughput_figure(throughput, about),
    }
    for cost, alike in comparison.quality.items():
        drawn[f"quality_{cost}"] = tradeoff_figure(among(alike, shown), about)
    with_layers = [row for row in drawn_rows if row.record.cost.size.layer_map]
    for number, row in enumerate(with_layers, start=1):
        drawn[f"layer_map_{number}"] = layer_figure(row.record, row.name)
    files = []
    for stem, figure in drawn.items():
        if figure is not None:
            files.append(target / f"{stem}.png")
            figure.savefig(files[-1])
            figure.set_layout_engine("none")  # it is laid out
            figure.savefig(files[-1].with_suffix(".pdf"), metadata={"CreationDate": None})
            with rc_context({"svg.hashsalt": stem}):  # ids that are the same each time
                figure.savefig(files[-1].with_suffix(".svg"), metadata={"Date": None})
    return files


def draw_confusions(rows: list[NamedRecord], folder: Path) -> None:
    """Draw the confusion matrix of each classifier, as NAME.png; those of an earlier report are taken away."""
    for file in folder.glob("*.png"):
        file.unlink()
    taken: Counter[str] = Counter()
    for row in rows:
        if isinstance(row.record.quality, Quality):
            folder.mkdir(exist_ok=True)
            stem = re.sub(r"[^\w.+=-]+", "_", row.name)[:LONGEST_STEM].strip("_")
            taken[stem] += 1
            name = f"{stem}.png" if taken[stem] == 1 else f"{stem}_{taken[stem]}.png"
            confusion_figure(row.record, row.name).savefig(folder / name)
