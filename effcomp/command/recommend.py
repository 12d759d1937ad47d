"""Name the best configuration for a goal, and the reasons against the next ones.

effcomp recommend minimize=latency_p50_ms max_accuracy_drop=1                       of the runs in multirun
effcomp recommend benchmarks/demo.jsonl minimize=artifact_bytes --where task=rotten_tomatoes

It is the report with --recommend: `effcomp report --help` explains sources and goals.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from effcomp.api import MULTIRUN
from effcomp.core.command_line import Parser, refuse, refusing
from effcomp.record import RECORD_FILE, Record
from effcomp.record.result import run_folders
from effcomp.report.__main__ import parser as report_parser
from effcomp.report.__main__ import report
from effcomp.sweep.folder import model_id


def main() -> None:
    """Pass the words to the report: those with an equals sign that name no file are the goal."""
    parser = Parser(prog="effcomp recommend", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="SOURCE | NAME=VALUE", help="records, and the goal")
    known, options = parser.parse_known_args()
    goal = [word for word in known.words if "=" in word and "://" not in word and not Path(word).exists()]
    if not goal:
        refuse("give a goal, say effcomp recommend minimize=latency_p50_ms max_accuracy_drop=1")
    sources = [word for word in known.words if word not in goal]
    with refusing():
        found = report(report_parser().parse_args([*sources, "--recommend", *goal, *options]))
    if found is not None and found.winners:
        from effcomp.pipeline.again import ways_on

        for winner in found.winners:
            folder = folder_of(winner, sources)
            print(f"\n{ways_on(winner, folder, model_id(folder) if folder is not None else None)}")


def folder_of(winner: Record, sources: Sequence[str]) -> Path | None:
    """Return the folder of the run whose record this is; None where the sources are not folders of runs."""
    folders = [folder for folder in map(Path, sources) if folder.is_dir()] if sources else [MULTIRUN]
    for folder in folders:
        for run in run_folders(folder):
            text = (run / RECORD_FILE).read_text()
            if winner.truth.time in text and Record.from_json(text) == winner:
                return run
    return None
