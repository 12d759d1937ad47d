"""Was the baseline as fast beside one row as beside another?

It is measured anew beside each, so a speed-up is fair to both of its sides at its time. Its interval allows for what
two other processes would show on a steady machine (`effcomp.core.statistics.PROCESS_NOISE`), and knows of no other
hour. The baselines of all rows do.
"""

from collections import defaultdict
from collections.abc import Sequence

from effcomp.record import Record
from effcomp.report.objectives import setting_of_calls
from effcomp.report.rows import model_and_task

FEWEST = 3
"""Measurements of a baseline before anything is said of it."""
MOST = 1.1
"""Its time over that of its fastest measurement; more is worth a sentence."""


def drifts(records: Sequence[Record]) -> list[str]:
    """A sentence for each baseline that was not equally fast beside all records, with its times by batch size."""
    groups: defaultdict[tuple[object, ...], list[Record]] = defaultdict(list)
    for record in records:
        groups[*labels(record), *setting_of_calls(record)].append(record)
    tellings = [labels(group[0]) for group in groups.values()]
    differing = [column for column, values in enumerate(zip(*tellings, strict=True)) if len(set(values)) > 1]
    sentences = []
    for telling, group in zip(tellings, groups.values(), strict=True):
        if moved := [words for size in group[0].speed.by_batch_size if (words := moves(group, size))]:
            which = "".join(f", {telling[column]}," for column in differing)
            sentences.append(
                f"The baseline{which} was not equally fast beside all rows: {'; '.join(moved)}. A speed-up is of "
                "its own hour: measure rows that are close again (remeasure=true)."
            )
    return sentences


def labels(record: Record) -> tuple[str, ...]:
    """What may tell one baseline from another, in words."""
    seed, fold = (f"{name} {record.config.get(name)}" for name in ("seed", "fold"))
    return model_and_task(record), record.truth.machine.device, f"{record.truth.machine.threads} threads", seed, fold


def moves(records: Sequence[Record], batch_size: int) -> str | None:
    """How far the baseline's times at a batch size lie apart; None where there is nothing to say."""
    times = [record.speed.by_batch_size[batch_size].baseline_latency_p50_ms for record in records]
    fastest = min(times)
    slower = sum(time > MOST * fastest for time in times)
    if len(times) < FEWEST or not slower:
        return None
    share = f"over {MOST} times the fastest in {slower} of {len(times)} measurements"
    return f"{fastest:.3g} to {max(times):.3g} ms at batch size {batch_size} ({share})"
