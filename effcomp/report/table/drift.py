"""Drift of the baseline between measurements.

The baseline is measured again beside each row, so a speed-up is fair at its time. Its interval covers the difference
between processes within minutes (`effcomp.core.pairs`), not the drift of the machine over hours. The baselines of all
rows show that drift.
"""

from collections import defaultdict
from collections.abc import Sequence

from effcomp.record import Record
from effcomp.record.comparable import setting_of_calls
from effcomp.report.rows import model_and_task

FEWEST = 3
"""Fewest measurements of a baseline that are compared."""
MOST = 1.1
"""Largest ratio of its time to its fastest one that is not reported."""


def drifts(records: Sequence[Record]) -> list[str]:
    """Return a sentence for each baseline that drifted between records, with its times by batch size."""
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
                f"The baseline{which} drifted between measurements: {'; '.join(moved)}. Re-measure close rows "
                "(remeasure=true) before ranking them."
            )
    return sentences


def labels(record: Record) -> tuple[str, ...]:
    """Return in words what may distinguish one baseline from another."""
    seed, fold = (f"{name} {record.config.get(name)}" for name in ("seed", "fold"))
    return model_and_task(record), record.truth.machine.device, f"{record.truth.machine.threads} threads", seed, fold


def moves(records: Sequence[Record], batch_size: int) -> str | None:
    """State the range of the baseline's times at a batch size; None where they agree."""
    times = [record.speed.by_batch_size[batch_size].baseline_latency_p50_ms for record in records]
    fastest = min(times)
    slower = sum(time > MOST * fastest for time in times)
    if len(times) < FEWEST or not slower:
        return None
    share = f"over {MOST} times the fastest in {slower} of {len(times)} measurements"
    return f"{fastest:.3g} to {max(times):.3g} ms at batch size {batch_size} ({share})"
