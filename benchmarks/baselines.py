"""Distance between repeats of one measurement, and the share of them that an interval holds.

    python benchmarks/baselines.py

The float32 baseline is measured again beside every configuration. Its medians in the published Records of virtual
machines with two cores are repeats of one measurement, a minute to an hour apart. For each file and batch size
baselines.json holds their deviation, and the share of later repeats that lie in the interval of an earlier one: in that
of a single pair without the deviation between measurements, and with it, as effcomp knows it at that time (the prior
and the repeats before). A quiet repeat is compared with later quiet ones, a noisy one with all later ones. NEAR and FAR
tell whether quiet repeats soon after each other differ by less than others.
"""

import json
import math
import sys
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from effcomp.core import measurements, pairs
from effcomp.core.interval import Interval
from effcomp.pipeline.between import between_repeats
from effcomp.record import Record
from effcomp.record.comparable import is_noisy, setting_of_calls
from effcomp.record.quantity import exact
from effcomp.report.sources import find_records

HERE = Path(__file__).resolve().parent
FILES = ("pruning.jsonl", "pruning_epyc.jsonl", "cpu/minilm_sst2.jsonl", "cpu/class_amx.jsonl")
FEWEST = 10
"""Fewest repeats of a measurement that are judged."""
NEAR, FAR = (0, 3), (15, 60)
"""Minutes between two repeats."""


class Repeat(NamedTuple):
    """Median of a baseline in one measurement."""

    ms: float
    noisy: bool
    minute: float
    """Unix time."""


def repeats(records: Sequence[Record]) -> dict[int, list[list[Repeat]]]:
    """Return the repeats of each baseline in the order of their measurement, by batch size."""
    found: dict[int, dict[object, list[Repeat]]] = defaultdict(lambda: defaultdict(list))
    for record in sorted(records, key=lambda one: one.truth.time):
        for size, row in record.speed.by_batch_size.items():
            minute = datetime.fromisoformat(record.truth.time).timestamp() / 60
            repeat = Repeat(row.baseline_latency_p50_ms, is_noisy(record), minute)
            found[size][setting_of_calls(record)].append(repeat)
    return {size: kept for size, of in found.items() if (kept := [one for one in of.values() if len(one) >= FEWEST])}


def intervals(times: Sequence[Repeat]) -> tuple[Interval, Interval]:
    """Return the interval of the last repeat without and with the deviation between measurements, of which the earlier
    ones are known."""
    *earlier, last = times
    of_pairs, prior = (pairs.NOISY_PRIOR, measurements.NOISY_PRIOR) if last.noisy else (pairs.PRIOR, measurements.PRIOR)
    alone, known = (
        pairs.pairs_interval([exact(last.ms)], of_pairs),
        between_repeats([one[:2] for one in earlier], last.noisy),
    )
    between = prior if known is None else pairs.Deviation.pooled([prior, known])
    return alone, measurements.over_measurements(alone, between)


def judged(series: Sequence[Sequence[Repeat]], noisy: bool) -> dict[str, Any]:
    """Return the deviation of quiet or of noisy repeats, and the share of later ones in the intervals of the
    earlier."""
    held: list[list[bool]] = []
    for times in series:
        for index, first in enumerate(times):
            if first.noisy == noisy:
                both = intervals(times[: index + 1])
                later = [one.ms for one in times[index + 1 :] if noisy or not one.noisy]
                held += [[one.low <= ms <= one.high for one in both] for ms in later]
    deviations = [one for times in series if (one := between_repeats([one[:2] for one in times], noisy)) is not None]
    return {
        "measurements": sum(one.noisy == noisy for times in series for one in times),
        "deviation": round(pairs.Deviation.pooled(deviations).deviation, 3) if deviations else None,
        "later_repeats": len(held),
        "share_in_the_interval_over_pairs": share([pair for pair, _ in held]),
        "share_in_the_interval_over_measurements": share([wider for _, wider in held]),
    }


def deviation_apart(series: Sequence[Sequence[Repeat]], minutes: tuple[int, int]) -> float | None:
    """Return the root of half the mean squared difference of quiet repeats that are so many minutes apart."""
    squares = [
        math.log(one.ms / other.ms) ** 2
        for times in series
        for one, other in combinations([one for one in times if not one.noisy], 2)
        if minutes[0] <= abs(one.minute - other.minute) < minutes[1]
    ]
    return round(math.sqrt(sum(squares) / len(squares) / 2), 3) if squares else None


def share(held: Sequence[bool]) -> float | None:
    return round(sum(held) / len(held), 3) if held else None


def main() -> None:
    found = {
        f"{file}, {records[0].truth.machine.device}, batch {size}": {
            "quiet": judged(series, noisy=False),
            "noisy": judged(series, noisy=True),
            "deviation_of_quiet_ones_by_minutes_apart": {
                "{} to {}".format(*minutes): deviation_apart(series, minutes) for minutes in (NEAR, FAR)
            },
        }
        for file in FILES
        for records in [find_records(HERE / file)]
        for size, series in sorted(repeats(records).items())
    }
    result = {"command": " ".join(["python benchmarks/baselines.py", *sys.argv[1:]]), "baselines": found}
    (HERE / "baselines.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
