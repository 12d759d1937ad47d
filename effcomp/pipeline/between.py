"""Deviation between pairs of fresh processes on this machine, which the interval of a single pair needs."""

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from effcomp.core import machine
from effcomp.core.pairs import PRIOR, BetweenPairs
from effcomp.record import Pairs, Speed
from effcomp.record.result import stored_results

if TYPE_CHECKING:
    from effcomp.pipeline.prepare import Run


def between_pairs(run: "Run") -> dict[str, BetweenPairs]:
    """Return the deviations between pairs of the stored measurements on this machine, with this runtime and number of
    threads, each pooled with PRIOR, by the name of the number (`Timed.estimates`).

    No measurement is made for it: every configuration that is measured with two or more pairs adds its own. Another
    model may deviate by more or less.
    """
    found: dict[str, list[BetweenPairs]] = defaultdict(lambda: [PRIOR])
    setting = (machine.device_name(run.device), run.device.threads, run.components.runtime.name)
    for _, record in stored_results(run.store.root):
        if (record.truth.machine.device, record.truth.machine.threads, record.choices["runtime"]) == setting:
            for name, pairs in stored_pairs(record.speed):
                if len(pairs.values) > 1:
                    found[name].append(pairs.between)
    return {name: BetweenPairs.pooled(deviations) for name, deviations in found.items()}


def stored_pairs(speed: Speed) -> Iterator[tuple[str, Pairs]]:
    """Yield the numbers that a record has of each pair, by their names in `Timed.estimates`."""
    rows: dict[str, Pairs | None] = {}
    for size, batch in speed.by_batch_size.items():
        rows |= {f"batch_{size}.latency": batch.latency_p50_pairs, f"batch_{size}.speedup": batch.speedup_pairs}
    if (generation := speed.generation) is not None:
        rows |= {"prefill.latency": generation.prefill_pairs, "prefill.speedup": generation.prefill_speedup_pairs}
        rows |= {"decode.latency": generation.decode_pairs, "decode.speedup": generation.decode_speedup_pairs}
    yield from ((name, pairs) for name, pairs in rows.items() if pairs is not None)
