"""The comparison of records: tables, figures and one HTML page.

python -m effcomp.report                                           the runs in multirun
python -m effcomp.report multirun/2026-11-22/10-00-00 --where quant=nf4,int8_dynamic
python -m effcomp.report sqlite:///mlruns/mlflow.db --out results
python -m effcomp.report benchmarks/demo.jsonl --recommend max_accuracy_drop=1 minimize=latency_p50_ms
"""

import argparse
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from effcomp.core.command_line import Parser, interruptible, refusing

if TYPE_CHECKING:
    from effcomp.report.choose.recommend import Recommendation


def main() -> None:
    with interruptible(), refusing():
        report(parser().parse_args())


def parser(prog: str = "python -m effcomp.report", description: str | None = __doc__) -> argparse.ArgumentParser:
    parser = Parser(prog=prog, description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="SOURCE",
        default=["multirun"],
        help="a folder (the records below it), a file with a record on each line, or the URI of an MLflow store, "
        "sqlite:///mlruns/mlflow.db or http://HOST:PORT; multirun if none is given",
    )
    parser.add_argument(
        "--where",
        nargs="+",
        default=[],
        metavar="KEY=VALUE[,VALUE]",
        help="only records with these choices (model=minilm) or settings (quant.block_size=64)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where to write; else results in a folder, NAME_results beside NAME.jsonl, ./results for MLflow and for "
        "several sources",
    )
    parser.add_argument("--all-columns", action="store_true", help="print those too that need more than 120 characters")
    parser.add_argument(
        "--recommend",
        nargs="+",
        metavar="NAME=VALUE",
        help="name the best configuration, and why the next ones lost: minimize=NAME or maximize=NAME, and limits: "
        "max_accuracy_drop=POINTS, max_perplexity_increase=PERCENT, max_NAME=, min_NAME= (in the unit of the name)",
    )
    return parser


def report(arguments: argparse.Namespace) -> "Recommendation | None":
    """Write and print the report; return the recommendation, where one is asked for.

    Raises:
        UserError: what the command names is not there; for a bad word before any record is read.
    """
    from effcomp.report.choose.goal import parse_goal
    from effcomp.report.where import matching, parse_where

    goal = parse_goal(arguments.recommend) if arguments.recommend else None
    wanted = parse_where(arguments.where)

    from effcomp.report.build import target_of, write
    from effcomp.report.sources import find
    from effcomp.report.table.terminal import print_comparison, print_recommendation

    # Thousands of records live as long as this process: to look for cycles among them again and again costs seconds.
    gc.disable()
    found = matching(find(arguments.sources), wanted)
    gc.freeze()  # libraries ask for a collection by themselves
    written = write(found, arguments.out or target_of(arguments.sources), [], goal)
    print_comparison(written.comparison, written.further, sys.stdout, arguments.all_columns)
    print(f"page      {written.page}")
    print(f"figures   {written.folder}/*.png")
    if written.recommendation is not None:
        print_recommendation(written.recommendation, sys.stdout)
    return written.recommendation


if __name__ == "__main__":
    main()
