"""Shared and exclusive locks of a device, in several processes."""

import multiprocessing
import os
import signal
import time
from multiprocessing.synchronize import Event

import pytest

from effcomp.core import device_lock as turns
from effcomp.core.device import Device

CPU = Device(name="cpu", kind="cpu", threads=1)
SPAWN = multiprocessing.get_context("spawn")


def hold(how: str, folder: str, inside: Event, release: Event) -> None:
    os.environ["TMPDIR"] = folder
    with getattr(turns, how)(CPU):
        inside.set()
        release.wait()


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [("shared", "shared", True), ("shared", "alone", False), ("alone", "shared", False), ("alone", "alone", False)],
)
def test_a_measurement_is_alone_and_training_is_not(first: str, second: str, together: bool, tmp_path) -> None:
    inside, release = [SPAWN.Event(), SPAWN.Event()], SPAWN.Event()
    processes = [
        SPAWN.Process(target=hold, args=(how, str(tmp_path), event, release))
        for how, event in zip((first, second), inside, strict=True)
    ]
    processes[0].start()
    assert inside[0].wait(30)
    processes[1].start()
    assert inside[1].wait(30 if together else 3) == together
    release.set()
    assert inside[1].wait(30), "it is let in as soon as the device is free"
    for process in processes:
        process.join()


def test_a_killed_process_holds_nothing(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    inside, never = SPAWN.Event(), SPAWN.Event()
    process = SPAWN.Process(target=hold, args=("alone", str(tmp_path), inside, never))
    process.start()
    assert inside.wait(30)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    start = time.monotonic()
    with turns.alone(CPU):
        assert time.monotonic() - start < 5
