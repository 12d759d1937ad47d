"""Apply an artifact to the texts of a file, and print the answers as CSV.

effcomp predict multirun/store/artifact/HASH texts.csv
effcomp predict multirun/2026-11-22/10-00-00 texts.jsonl --out answers.csv        the artifact of a run

The file is .csv or .tsv with a header, or .jsonl, plain or .gz, with the columns of the task that the model was
measured on.
"""

import argparse
import csv
import os
import sys
from pathlib import Path

from effcomp.core.command_line import Parser, refusing


def main() -> None:
    """Answer each row of the file."""
    parser = Parser(prog="effcomp predict", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", metavar="ARTIFACT", help="the folder of an artifact, or of a run")
    parser.add_argument("file", type=Path, metavar="FILE", help="the texts")
    parser.add_argument("--device", choices=["cpu", "cuda", "auto"], default="cpu")
    parser.add_argument("--out", type=Path, metavar="FILE", help="else standard output")
    arguments = parser.parse_args()
    with refusing():
        predict(arguments.artifact, arguments.file, arguments.device, arguments.out)


def predict(artifact: str, file: Path, device: str, out: Path | None) -> None:
    """Write the answers, with the number of the row that each is for.

    Raises:
        UserError: artifact or file cannot be read, or the file lacks a header or a column.
    """
    from effcomp.api import load
    from effcomp.core.errors import UserError
    from effcomp.sweep.job import quieten
    from effcomp.tasks.files import read_rows

    quieten()
    if not file.is_file():
        raise UserError(f"{file} does not exist: give a file of texts")
    if out is not None and not may_write(out):
        raise UserError(f"--out {out} cannot be written to: give another file")
    predictor = load(artifact, device=device)
    columns = list(predictor.signature.columns)
    rows = list(read_rows(file, None, columns))
    answers = predictor([row for _, row in rows])
    if not answers:
        raise UserError(f"{file} has no rows: give it some")
    with out.open("w", newline="") if out is not None else sys.stdout as stream:
        writer = csv.DictWriter(stream, ["row", *answers[0]], lineterminator="\n")
        writer.writeheader()
        writer.writerows({"row": number, **answer} for (number, _), answer in zip(rows, answers, strict=True))


def may_write(file: Path) -> bool:
    """Tell whether this user may write the file, or make it."""
    if file.exists():
        return not file.is_dir() and os.access(file, os.W_OK)
    return os.access(file.parent, os.W_OK | os.X_OK)
