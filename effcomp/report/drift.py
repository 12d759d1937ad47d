"""Is the baseline as fast in each measurement as in the others?

A speed-up's interval is drawn within one pair of processes, where both sides feel the same machine. It does not say how
far the next pair would differ; the baseline does, which is measured anew beside every row.
"""

from collections import defaultdict
from collections.abc import Sequence

from effcomp.report.rows import Row, model_and_task

FEWEST = 3
"""Measurements of a baseline before anything is said of it."""
MOST = 1.1
"""Its time over that of its fastest measurement; more is worth a sentence. On a quiet machine it differs by 0.02."""


def drifts(rows: Sequence[Row]) -> list[str]:
    """A sentence for each baseline and batch size whose own latency is not the same from row to row."""
    found: defaultdict[tuple[object, ...], list[float]] = defaultdict(list)
    for record in (row.record for row in rows):
        truth, speed = record.truth, record.speed
        place = model_and_task(record), truth.device, truth.threads, speed.fixed_length, truth.baseline_artifact
        for batch_size, measured in speed.by_batch_size.items():
            found[*place, batch_size].append(measured.baseline_latency_p50_ms)
    several = len({place[:-1] for place in found}) > 1
    return [
        f"At batch size {place[-1]}{f', {place[0]},' if several else ''} the baseline itself took {min(times):.3g} to "
        f"{max(times):.3g} ms over these {len(times)} measurements, in {slower} of them over {MOST} times as long as "
        "in the fastest. An interval is of one pair of processes, at its time: rows that are close should be measured "
        "again (remeasure=true), on a quieter machine."
        for place, times in found.items()
        if len(times) >= FEWEST and (slower := sum(time > MOST * min(times) for time in times))
    ]
