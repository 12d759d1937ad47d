"""Write the whole report of some records into a folder."""

from dataclasses import dataclass
from pathlib import Path

from effcomp.errors import UserError
from effcomp.record import RECORD_FILE, Record
from effcomp.report import figures, table
from effcomp.report.page import page
from effcomp.report.repeats import repeats_table
from effcomp.report.rows import is_baseline

FOLDER = "report"


@dataclass(frozen=True)
class Report:
    records: list[Record]
    """The baseline first, then as they were measured."""
    folder: Path
    page: Path


def find_records(source: Path) -> list[Record]:
    """The records of a folder (each record.json below it) or of a file (one on each line), the baseline first.

    Raises:
        UserError: there is none, or one is of another version or damaged.
    """
    if source.is_file():
        lines = source.read_text(errors="replace").splitlines()
        texts = {f"{source}:{number}": line for number, line in enumerate(lines, start=1)}
    elif source.is_dir():
        texts = {str(file): file.read_text(errors="replace") for file in sorted(source.rglob(RECORD_FILE))}
    else:
        raise UserError(f"{source} does not exist: give the folder of a sweep, say multirun/DATE/TIME")
    if not texts:
        raise UserError(f"{source} holds no {RECORD_FILE}: give the folder of a run or a sweep, say multirun/DATE/TIME")
    records = []
    for place, text in texts.items():
        try:
            records.append(Record.from_json(text))
        except ValueError as error:
            raise UserError(f"{place} is no record that this version reads: {str(error).splitlines()[0]}") from error
    return sorted(records, key=lambda record: (not is_baseline(record), record.truth.time))


def write_report(source: Path, left_out: list[str]) -> Report:
    """Table, figures and page of all records of a folder or file, written to the folder `report` in it
    (for a file NAME.jsonl to NAME_report beside it).

    Args:
        left_out: the configurations that have no record, each with its reason.
    """
    records = find_records(source)
    target = source / FOLDER if source.is_dir() else source.with_name(f"{source.stem}_report")
    target.mkdir(exist_ok=True)
    (target / "comparison_table.md").write_text(table.to_markdown(table.texts(records)))
    table.values(records).to_csv(target / "comparison_table.csv", index=False)
    means = repeats_table(records)
    if means is not None:
        (target / "repeats_table.md").write_text(table.to_markdown(means))
    drawn = {
        "performance_comparison": figures.performance_figure(records),
        "efficiency_comparison": figures.efficiency_figure(records),
        "quality_latency": figures.tradeoff_figure(records),
    }
    files = []
    for stem, figure in drawn.items():
        if figure is not None:
            files.append(target / f"{stem}.png")
            figure.savefig(files[-1])
    (target / "index.html").write_text(page(records, means, left_out, files))
    return Report(records, target, target / "index.html")
