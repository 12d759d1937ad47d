"""Write the whole report of some records into a folder."""

from dataclasses import dataclass
from pathlib import Path

from effcomp.errors import UserError
from effcomp.record import RECORD_FILE, Record
from effcomp.report import figures, table
from effcomp.report.page import page

FOLDER = "report"


@dataclass(frozen=True)
class Report:
    records: list[Record]
    """The baseline first, then as they were measured."""
    folder: Path
    page: Path


def find_records(folder: Path) -> list[Record]:
    """Every record below a folder, the baseline first.

    Raises:
        UserError: there is none, or one is of another version or damaged.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: give the folder of a sweep, say multirun/DATE/TIME")
    records = []
    for file in sorted(folder.rglob(RECORD_FILE)):
        try:
            records.append(Record.read(file))
        except ValueError as error:
            raise UserError(f"{file} is not a record that this version reads: {str(error).splitlines()[0]}") from error
    if not records:
        raise UserError(f"{folder} holds no {RECORD_FILE}: give the folder of a run or a sweep, say multirun/DATE/TIME")
    return sorted(records, key=lambda record: (not table.is_baseline(record), record.truth.time))


def write_report(folder: Path, left_out: list[str]) -> Report:
    """Table, figures and page of all records below a folder, written to its `report` folder.

    Args:
        left_out: the configurations that have no record, each with its reason.
    """
    records = find_records(folder)
    target = folder / FOLDER
    target.mkdir(exist_ok=True)
    (target / "comparison_table.md").write_text(table.markdown(records))
    table.values(records).to_csv(target / "comparison_table.csv", index=False)
    drawn = {
        "performance_comparison": figures.performance_figure(records),
        "efficiency_comparison": figures.efficiency_figure(records),
        "accuracy_latency": figures.tradeoff_figure(records),
    }
    files = []
    for stem, figure in drawn.items():
        if figure is not None:
            files.append(target / f"{stem}.png")
            figure.savefig(files[-1])
    (target / "index.html").write_text(page(records, left_out, files))
    return Report(records, target, target / "index.html")
