"""Threads of the measured process."""

from pathlib import Path

from effcomp.core.batches import Batch
from effcomp.record.probe import MeasuredModel, probe
from effcomp.record.quantity import Quantity

TASKS = Path("/proc/self/task")


@probe(Quantity("process threads", digits=0, better="lower"))
def process_threads(model: MeasuredModel, context: Batch | None) -> float | None:
    """Return the number of threads of the measured process after all calls: those that compute (`device.threads`), and
    those that its libraries keep beside them."""
    return len(list(TASKS.iterdir()))
