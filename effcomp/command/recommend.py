"""Name the best configuration for a goal, and the reasons against the next ones.

effcomp recommend minimize=latency_p50_ms max_accuracy_drop=1                       of the runs in multirun
effcomp recommend benchmarks/demo.jsonl minimize=artifact_bytes --where task=rotten_tomatoes

It is the report with --recommend: `effcomp report --help` explains sources and goals.
"""

import argparse
from pathlib import Path

from effcomp.core.command_line import Parser, refuse, refusing
from effcomp.report.__main__ import parser as report_parser
from effcomp.report.__main__ import report


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
            print(f"\n{ways_on(winner, None, None)}")
