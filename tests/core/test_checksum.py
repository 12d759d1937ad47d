"""An unchanged file is read once, and no change is missed."""

import os
from pathlib import Path

import pytest

from effcomp.core import checksum
from effcomp.core.checksum import contents_sha256, file_sha256

SIZE = 2**20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "model.safetensors"
    found.write_bytes(b"a" * SIZE)
    return found


def bytes_read() -> int:
    """The bytes that this process has read from files, as the kernel counts them (rchar)."""
    return int(Path("/proc/self/io").read_text().split()[1])


def test_a_file_that_changed_long_ago_is_read_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksum, "SETTLED_S", -60.0)  # a minute ahead of the clock: the file counts as old
    first, before = contents_sha256(file), bytes_read()
    assert contents_sha256(file) == first
    assert bytes_read() - before < SIZE


def test_a_change_that_restores_size_and_time_is_seen(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksum, "SETTLED_S", -60.0)
    first, times = contents_sha256(file), file.stat()
    before = times.st_ctime_ns
    while file.stat().st_ctime_ns == before:  # the next tick of the file system's clock
        file.write_bytes(b"b" * SIZE)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert contents_sha256(file) == file_sha256(file) != first


def test_a_file_that_has_just_changed_is_read_each_time(file: Path) -> None:
    contents_sha256(file)
    before = bytes_read()
    contents_sha256(file)
    assert bytes_read() - before >= SIZE
