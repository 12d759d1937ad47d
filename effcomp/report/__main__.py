"""python -m effcomp.report SOURCE: the table, the figures and the page of the records in a folder or file."""

import argparse
import sys
from pathlib import Path

from effcomp.errors import EXIT_CODE, UserError


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m effcomp.report", description=__doc__)
    parser.add_argument(
        "source",
        type=Path,
        help="the folder of a run or a sweep (multirun/DATE/TIME), or a file with a record on each line",
    )
    arguments = parser.parse_args()
    try:
        from effcomp.report.build import write_report
        from effcomp.report.terminal import print_table

        report = write_report(arguments.source, [])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_CODE)
    print_table(report.records, sys.stdout)
    print(f"page and figures: {report.folder}")


if __name__ == "__main__":
    main()
