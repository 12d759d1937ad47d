"""Content-addressed store: finished work survives a crash, and nothing is computed twice.

An entry is a folder `<root>/<kind>/<hash of its key>`. It is built under a temporary name, given a
manifest with the sha256 of each file, and renamed; so a folder with a final name is complete. A lock
per key keeps two processes from computing one entry at once: the second waits and reads.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effcomp.core.checksum import contents_sha256, file_sha256
from effcomp.core.errors import DiskFull, UserError, lacks_room

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
ROOM_BYTES = 1 << 20
"""A disk with less room is full: a write that fails has filled it to the last block."""


@dataclass(frozen=True)
class Entry:
    """Folder of the store, found or computed."""

    path: Path
    hash: str
    created: bool
    """True when this call computed the entry, False when it was found."""


class Store:
    """Folder of stored results: one entry for each kind and hash of what determines it."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def folder(self, kind: str, name: str) -> Path:
        """Return the path of the entry of this name (its hash), present or not.

        Raises:
            ValueError: it is no hash; a record that someone changed could lead out of the store.
        """
        if not re.fullmatch("[0-9a-f]{64}", name):
            raise ValueError(f"{name!r} names no entry of the store: that is a sha256 in hex")
        return self.root / kind / name

    def find(self, kind: str, name: str) -> Path | None:
        """Return the folder of the entry of this name; None where it is missing, or damaged (which is logged)."""
        folder = self.folder(kind, name)
        if not folder.parent.is_dir():
            return None
        with locked(folder):
            if not folder.exists():
                return None
            if (fault := find_fault(folder)) is not None:
                log.warning("stored %s %s: %s", kind, name[:12], fault)
                return None
        return folder

    def get(self, kind: str, key: Mapping[str, Any], build: Callable[[Path], None], again: bool = False) -> Entry:
        """Return the entry of `key`; `build(folder)` fills a new folder when there is none.

        `key` holds everything that determines the content, as plain JSON values. An entry whose
        files no longer match their checksums is logged, removed and built again.

        Args:
            again: build it even where there is one, which it then replaces.

        Raises:
            DiskFull: the store has no room for it.
        """
        name = key_hash(key)
        folder = self.folder(kind, name)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            if folder.exists() and not again:
                fault = find_fault(folder)
                if fault is None:
                    return Entry(folder, name, created=False)
                log.warning("stored %s %s: %s; building it again", kind, name[:12], fault)
            building = folder.with_suffix(".building")
            if building.exists():  # left by a process that died: we hold its lock now
                shutil.rmtree(building)
            building.mkdir()
            try:
                build(building)
                write_manifest(building, key)
                if folder.exists():  # damaged, or to be replaced
                    shutil.rmtree(folder)
                building.rename(folder)
            except BaseException as error:
                full = is_full(error, building)
                shutil.rmtree(building, ignore_errors=True)
                if full:
                    reason = str(error).strip().partition("\n")[0]  # PyTorch's says why after its first sentence
                    way_on = "make room and run the same command again (what was finished is kept)"
                    raise DiskFull(f"store={self.root}: the disk is full ({reason}); {way_on}") from error
                raise
            sync(folder.parent)
        return Entry(folder, name, created=True)


def is_full(error: BaseException, folder: Path) -> bool:
    """Tell whether a build failed for lack of room. Libraries in C++ raise errors without the system's number or words:
    after theirs the disk itself is looked at.
    """
    if isinstance(error, UserError) or not isinstance(error, Exception):
        return False
    return lacks_room(error) or shutil.disk_usage(folder).free < ROOM_BYTES


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold an exclusive lock, released when the process exits; waiting is logged. The lock file stays: if it were
    removed, a waiting process would hold the old file and the next process a new one.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder.with_suffix(".lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        log.info("waiting for another run that computes the same %s", folder.parent.name)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def scratch_folder(store: Store, kind: str, key: Mapping[str, Any]) -> Path:
    """Return a folder for the unfinished work of one entry, at the same path on every try; whoever finishes removes it.
    Only the holder of the entry's lock, that is its `build`, may use it.
    """
    return store.root / "unfinished" / kind / key_hash(key)


def key_hash(key: Mapping[str, Any]) -> str:
    """Return the sha256 of the key as canonical JSON, in hex."""
    return text_hash(json.dumps(key, sort_keys=True, separators=(",", ":"), allow_nan=False))


def text_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def folder_sha256(folder: Path) -> str:
    """Return the checksum of the names and contents of a folder's files, without its manifest and its subfolders."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.name != MANIFEST)
    return hashlib.sha256("".join(file.name + contents_sha256(file) for file in files).encode()).hexdigest()


def write_manifest(folder: Path, key: Mapping[str, Any]) -> None:
    """Write manifest.json: the key, and the size and sha256 of every other file, flushed to disk."""
    files = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        file.chmod(0o644)  # safetensors are written for their owner alone
        sync(file)
        files[str(file.relative_to(folder))] = {"bytes": file.stat().st_size, "sha256": file_sha256(file)}
    manifest = folder / MANIFEST
    manifest.write_text(json.dumps({"key": key, "files": files}, indent=1, sort_keys=True) + "\n")
    sync(manifest)


def find_fault(folder: Path, renamed: bool = False) -> str | None:
    """Return the fault of a folder that was stored, or copied from a store; None when it holds exactly the files of
    its manifest, with their checksums.

    Args:
        renamed: a copy may have another name than its hash.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        files = {name: (expected["bytes"], expected["sha256"]) for name, expected in manifest["files"].items()}
        own = key_hash(manifest["key"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"its manifest cannot be read ({type(error).__name__})"
    if own != folder.name and not renamed:
        return "its manifest is another entry's"
    there = {str(file.relative_to(folder)) for file in folder.rglob("*") if not file.is_dir()} - {MANIFEST}
    if unknown := there - files.keys():
        return f"{min(unknown)} is not in its manifest"
    for name, expected in files.items():
        if name not in there:  # also one that leads out of the folder
            return f"{name} is missing"
        if ((folder / name).stat().st_size, file_sha256(folder / name)) != expected:
            return f"{name} does not match its checksum"
    return None


def write_at_once(file: Path, text: str) -> None:
    """Write the text atomically: all of it or, where the process is killed or the disk is full, nothing."""
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text)
        sync(partial)
        partial.replace(file)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Flush a file or a folder's entries to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
