"""Threads of the measured process."""

from pathlib import Path
from typing import TYPE_CHECKING

from effcomp.record.probe import probe
from effcomp.record.quantity import Quantity

if TYPE_CHECKING:
    from effcomp.core.batches import Batch
    from effcomp.runtimes.base import Loaded

TASKS = Path("/proc/self/task")


@probe(Quantity("process threads", digits=0, better="lower"))
def process_threads(model: "Loaded", context: "Batch | None") -> float | None:
    """Return the number of threads of the measured process after all calls: those that compute (`device.threads`), and
    those that its libraries keep beside them."""
    return len(list(TASKS.iterdir()))
