"""The device: what is there is found, what is not is refused."""

import os

import pytest

from effcomp.core.device import Device, cuda_count
from effcomp.core.errors import UserError


def device(kind: str, **fields: int | None) -> Device:
    return Device(**({"name": kind, "kind": kind, "threads": None} | fields))


def test_auto_is_decided_and_threads_are_counted() -> None:
    resolved = device("auto").resolved()
    assert resolved.kind == ("cuda" if cuda_count() else "cpu")
    assert resolved.threads == len(os.sched_getaffinity(0))


def test_the_measured_process_gets_the_threads_that_were_asked_for() -> None:
    environment = device("cpu", threads=1).environment()
    assert environment["OMP_NUM_THREADS"] == environment["MKL_NUM_THREADS"] == "1"


def test_waiting_threads_of_a_measured_process_leave_their_cores() -> None:
    """libgomp's threads spin for milliseconds by default, on the cores of the other side of the pair."""
    environment = device("cpu").environment()
    assert int(environment["GOMP_SPINCOUNT"]) <= 10_000
    assert environment["KMP_BLOCKTIME"] == "0"


def test_more_threads_than_cores_are_refused() -> None:
    with pytest.raises(UserError, match=r"device\.threads=4096"):
        device("cpu", threads=4096).check()


@pytest.mark.skipif(cuda_count() > 0, reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match="no CUDA device"):
        device("cuda").check()


def test_cores_that_are_not_ours_are_refused_and_count_as_threads_where_they_are() -> None:
    first = min(os.sched_getaffinity(0))
    pinned = Device(name="cpu", kind="cpu", threads=None, cores=[first])
    pinned.check()
    assert pinned.resolved().threads == 1
    with pytest.raises(UserError, match=r"device\.cores=\[4096\]: this process may use .*; choose of those"):
        Device(name="cpu", kind="cpu", threads=None, cores=[4096]).check()
    with pytest.raises(UserError, match=r"device\.threads=2: this process may use 1 cores"):
        Device(name="cpu", kind="cpu", cores=[first], threads=2).check()
