"""The comparison of records: tables, figures and one HTML page.

python -m effcomp.report                                           the runs in multirun
python -m effcomp.report multirun/2026-11-22/10-00-00 --where quant=nf4,int8_dynamic
python -m effcomp.report sqlite:///mlruns/mlflow.db --out results
python -m effcomp.report benchmarks/demo.jsonl --recommend max_accuracy_drop=1 minimise=latency_p50_ms
python -m effcomp.report multirun --upload http://HOST:PORT        no report: log its runs to a server
"""

import argparse
import gc
import sys
from pathlib import Path
from typing import NoReturn

from effcomp.core.errors import EXIT_CODE, UserError

SERVERS = ("http://", "https://")
OWN_SERVER = "the server that the runs name"
"""What --upload stands for without a URI."""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; --help shows what there is")


def main() -> None:
    try:
        arguments = parser().parse_args()
        if arguments.upload is None:
            report(arguments)
        else:
            for source in arguments.sources:
                send(source, arguments.upload)
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(EXIT_CODE)


def parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m effcomp.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
    parser.add_argument(
        "--recommend",
        nargs="+",
        metavar="NAME=VALUE",
        help="name the best configuration, and why the next ones lost: minimise=NAME or maximise=NAME, and limits: "
        "max_accuracy_drop=POINTS, max_perplexity_increase=PERCENT, max_NAME=, min_NAME= (in the unit of the name)",
    )
    parser.add_argument(
        "--upload",
        nargs="?",
        const=OWN_SERVER,
        metavar="URI",
        help="instead of a report, log the runs of these folders to an MLflow server: all of them to this one; without "
        "a URI, to the one that their configs name those that name it",
    )
    return parser


def send(folder: str, uri: str) -> None:
    """Log a folder's runs to a server, those that are not there yet.

    Raises:
        UserError: there are none, they name no server or several, or it does not answer.
    """
    from effcomp.report.sources import find_records
    from effcomp.sweep.upload import upload
    from effcomp.tracking.base import Unreachable
    from effcomp.tracking.mlflow_runs import MlflowTracking

    every = uri != OWN_SERVER
    if not every:
        named = {record.config["tracking"].get("uri") or "" for record in find_records(Path(folder))}
        servers = sorted(name for name in named if name.startswith(SERVERS))
        if len(servers) != 1:
            reason = f"name {len(servers)} servers ({', '.join(servers)})" if servers else "name no server"
            raise UserError(f"--upload: the runs in {folder} {reason}; give one: --upload http://HOST:PORT")
        (uri,) = servers
    if not uri.startswith(SERVERS):
        raise UserError(f"--upload {uri}: give http://HOST:PORT")
    try:
        done = upload(Path(folder), MlflowTracking(name="server", uri=uri, artifacts=None), every=every)
    except Unreachable as error:
        raise UserError(str(error)) from error
    print(f"{folder}: {done.sent} sent ({done.without_model} without a model), {done.there_already} were there")


def report(arguments: argparse.Namespace) -> None:
    """Raises UserError for what the command names and is not there; a bad word before any record is read."""
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
    print_comparison(written.comparison, written.further, sys.stdout)
    print(f"page      {written.page}")
    print(f"figures   {written.folder}/*.png")
    if written.recommendation is not None:
        print_recommendation(written.recommendation, sys.stdout)


if __name__ == "__main__":
    main()
