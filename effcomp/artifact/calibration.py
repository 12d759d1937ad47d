"""Measurement of the cost of a calibration."""

import hashlib
import time
from collections.abc import Sequence

from effcomp.artifact.description import Calibration
from effcomp.core import memory
from effcomp.core.batches import Batch


class Stopwatch:
    """Time and memory of this process since it was made."""

    def __init__(self) -> None:
        memory.reset_peak()
        self.started = time.perf_counter()

    def calibration(self, samples: Sequence[Batch]) -> Calibration | None:
        """Return what fitting to these samples has cost so far; None without samples."""
        if not samples:
            return None
        return Calibration(
            seconds=round(time.perf_counter() - self.started, 3),
            peak_rss_bytes=memory.peak_rss_bytes(),
            samples=len(samples),
            fingerprint=fingerprint(samples),
        )


def fingerprint(samples: Sequence[Batch]) -> str:
    """Return the sha256 in hex over names, shapes and values of the samples' columns, in order."""
    digest = hashlib.sha256()
    for batch in samples:
        for name, ids in sorted(batch.items()):
            digest.update(f"{name}{ids.shape}".encode())
            digest.update(ids.tobytes())
    return digest.hexdigest()
