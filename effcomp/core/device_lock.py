"""Locks of devices: one measurement at a time, and no other work of effcomp beside it.

The kernel's file locks (flock: shared or exclusive, released when the process exits) lie in a folder of this machine,
so that jobs of a parallel sweep, other sweeps and other users' sweeps see one another.
"""

import contextlib
import fcntl
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from effcomp.core.device import Device

log = logging.getLogger(__name__)


@contextlib.contextmanager
def shared(device: Device) -> Iterator[None]:
    """Hold the device for training or compression: others may train or compress too, but nothing is measured."""
    with locked(device, fcntl.LOCK_SH):
        yield


@contextlib.contextmanager
def alone(device: Device) -> Iterator[None]:
    """Hold the device for a measurement: no other work of effcomp on this GPU or, for the CPU, on this processor. A run
    on a GPU uses the processor too; the rule of disturbed turns sees it (effcomp.measure.disturbance)."""
    with locked(device, fcntl.LOCK_EX):
        yield


@contextlib.contextmanager
def locked(device: Device, kind: int) -> Iterator[None]:
    file = lock_file(device)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL, 0o644))
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)  # enough for a lock, and allowed to other users
    try:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("waiting until other runs of effcomp leave this device to a measurement (%s)", file)
            fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)


def lock_file(device: Device) -> Path:
    """Return the lock file of the CPU, or of a GPU by its UUID: `device.index` depends on which GPUs are visible."""
    if device.kind == "cpu":
        return Path(tempfile.gettempdir()) / "effcomp-cpu.lock"
    import torch

    return Path(tempfile.gettempdir()) / f"effcomp-gpu-{torch.cuda.get_device_properties(device.index).uuid}.lock"
