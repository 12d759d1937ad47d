"""Name the best configuration for a goal, and the reasons against the next ones.

effcomp recommend minimize=latency_p50_ms max_accuracy_drop=1                       of the runs in multirun
effcomp recommend benchmarks/demo.jsonl minimize=artifact_bytes --where task=rotten_tomatoes

It is the report with --recommend: `effcomp report --help` explains sources and goals.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from effcomp.api import MULTIRUN
from effcomp.command.find import is_goal
from effcomp.core.command_line import refuse, refusing
from effcomp.record import RECORD_FILE, Record
from effcomp.record.result import run_folders
from effcomp.report.__main__ import parser as report_parser
from effcomp.report.__main__ import report
from effcomp.sweep.folder import model_id


def main() -> None:
    """Make the report with the goal: objectives, limits, and any other words with an equals sign that name no source,
    which the report refuses."""
    goal = [word for word in sys.argv[1:] if is_goal(word)]
    known = report_parser("effcomp recommend", __doc__).parse_args([word for word in sys.argv[1:] if word not in goal])
    goal += [word for word in known.sources if "=" in word and "://" not in word and not Path(word).exists()]
    if not goal:
        refuse("give a goal, say effcomp recommend minimize=latency_p50_ms max_accuracy_drop=1")
    known.recommend = goal
    known.sources = [word for word in known.sources if word not in goal] or [str(MULTIRUN)]
    with refusing():
        found = report(known)
    if found is not None and found.winners:
        from effcomp.pipeline.again import ways_on

        for winner in found.winners:
            folder = folder_of(winner, known.sources)
            print(f"\n{ways_on(winner, folder, model_id(folder) if folder is not None else None)}")


def folder_of(winner: Record, sources: Sequence[str]) -> Path | None:
    """Return the folder of the run whose record this is; None where the sources are not folders of runs."""
    for folder in (folder for folder in map(Path, sources) if folder.is_dir()):
        for run in run_folders(folder):
            text = (run / RECORD_FILE).read_text()
            if winner.truth.time in text and Record.from_json(text) == winner:
                return run
    return None
