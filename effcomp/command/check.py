"""Measure a configuration again on this machine, and tell whether it keeps limits: a gate for continuous integration.

effcomp check multirun/DATE/TIME --require max_accuracy_drop=0.5 min_speedup=2
effcomp check record.json --require max_artifact_bytes=3e7 --with task.data_dir=data device.threads=1

Exit code: 0 every limit is kept, 1 one is broken, 3 the measurement cannot tell, 2 the command is wrong, 4 the
measurement failed. A limit is kept when the whole 95 % interval lies within it, and broken when all of it lies beyond
it. Standard output has one line of JSON. All limits have to hold at once, so none needs a correction for their number
(intersection-union test: Berger 1982, "Multiparameter hypothesis testing and acceptance sampling").
"""

import argparse
import json
import sys
from pathlib import Path

from effcomp.artifact.description import ARTIFACT_FILE
from effcomp.core.command_line import Parser, refusing
from effcomp.core.errors import FAILED, UserError
from effcomp.core.failure import failure_line
from effcomp.pipeline.again import written
from effcomp.record import Record, label
from effcomp.record.result import stored_results
from effcomp.report.choose.limits import LIMITS, Bound, Loss, parse_limits
from effcomp.report.choose.multiplicity import widened
from effcomp.report.sources import find_records

EXIT_CODES = {"kept": 0, "broken": 1, "undecided": 3}
SENTENCES = {
    "kept": "keeps every limit",
    "broken": "breaks a limit",
    "undecided": "cannot be shown to keep every limit, nor to break one",
}


def main() -> None:
    """Measure again, print the verdict, and exit with its code."""
    parser = Parser(prog="effcomp check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="folder of a run, a file with one record, or an artifact of a store")
    parser.add_argument("--require", nargs="+", required=True, metavar="LIMIT", help=LIMITS.replace("%", "%%"))
    parser.add_argument("--with", nargs="+", default=[], metavar="KEY=VALUE", dest="overrides", help="other settings")
    given = parser.parse_args()
    with refusing():
        limits = parse_limits(" ".join(given.require).split(), "--require", f"give any of {LIMITS}")
        before, place = record_of(given.source)
        for typed, limit in limits.items():
            if limit.measured(before) is None:
                raise UserError(f"--require {typed}: {label(before.config)} has no such number; ask for another")
        try:
            record = measure_again(before, [*place, *given.overrides])
        except Exception as error:  # whatever a measurement dies of is no verdict
            if isinstance(error, UserError) and error.status != "failed":
                raise
            reason = str(error) if isinstance(error, UserError) else failure_line(error, Path("multirun"))
            print(f"error: nothing was decided: {reason}", file=sys.stderr)
            sys.exit(FAILED)
    if place and record.truth.artifact != before.truth.artifact:
        built = f"measured artifact {record.truth.artifact}, which this version built"
        print(f"{built}; not {given.source}", file=sys.stderr)
    verdict, answer = judge(widened(record, 1), limits)
    print(json.dumps({"verdict": verdict, "limits": answer}))
    said = [f"  {typed}: {one['verdict']}: {one['reason'] or one['measured']}" for typed, one in answer.items()]
    print("\n".join([f"{label(record.config)} {SENTENCES[verdict]}", *said]), file=sys.stderr)
    sys.exit(EXIT_CODES[verdict])


def record_of(source: str) -> tuple[Record, list[str]]:
    """Return the record of a run, or the one that was measured with an artifact, and the override that finds the
    artifact.

    Raises:
        UserError: there is none, or there are several.
    """
    folder = Path(source)
    if (folder / ARTIFACT_FILE).is_file():
        store = folder.absolute().parent.parent
        measured = [one for _, one in stored_results(store) if one.truth.artifact == folder.absolute().name]
        if not measured:
            raise UserError(f"{source} was not measured in this store: give the folder of a run")
        if len(ways := {way(one) for one in measured}) > 1:
            raise UserError(f"{source} was measured as {'; '.join(sorted(ways))}: give the folder of one run")
        return max(measured, key=lambda one: one.truth.time), [f"store={written(str(store))}"]
    found = find_records(folder)
    if len(found) != 1:
        names = ", ".join(label(one.config) for one in found)
        raise UserError(f"{source} has {len(found)} records ({names}): give the folder of one")
    return found[0], []


def way(record: Record) -> str:
    """Return what the measurements of one artifact may differ by: the runtime, the bench and the part of the test."""
    part = record.config.get("test_slice")
    chosen = f"runtime={record.choices['runtime']} bench={record.choices['bench']}"
    return chosen if part is None else f"{chosen} test_slice=[{part[0]:g},{part[1]:g}]"


def measure_again(record: Record, changes: list[str]) -> Record:
    """Measure the configuration of a record on this machine, without tracking.

    Raises:
        UserError: the configuration has a class of the user's own, or does not run here.
    """
    from hydra.errors import HydraException

    from effcomp.api import run
    from effcomp.pipeline.again import overrides

    try:
        typed = overrides(record.config)
    except HydraException as error:
        name = label(record.config)
        raise UserError(f"{name} has a choice of your own: measure it with effcomp run --config-dir") from error
    return run([*typed, "remeasure=true", "tracking=none", *changes]).record


def judge(record: Record, limits: dict[str, Bound | Loss]) -> tuple[str, dict[str, dict[str, str | None]]]:
    """Return the verdict on all limits, and each limit's verdict, reason and measured number."""
    answer = {}
    for typed, limit in limits.items():
        standing = limit.standing(record)
        answer[typed] = {
            "verdict": standing.verdict,
            "measured": limit.measured(record),
            "reason": standing.reason,
        }
    verdicts = {one["verdict"] for one in answer.values()}
    return next(verdict for verdict in ("broken", "undecided", "kept") if verdict in verdicts), answer
