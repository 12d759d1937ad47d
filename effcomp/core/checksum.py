"""Checksums of files, for keys of the store.

A run asks several times what a model's folder holds: for the keys of tokens, checkpoint and result. An unchanged file
is read once. Its size and its time of modification would not show every change (a copy can restore both), so the
kernel's own time of the last change (ctime) counts too, which no program sets. Two changes within one tick of the
clock share a ctime; a file that changed in the last SETTLED_S seconds is therefore read again each time.
"""

import hashlib
import time
from pathlib import Path

SETTLED_S = 2.0
"""Age of the last change from which a later one has another ctime; file systems' clocks tick more often."""
READ: dict[tuple[int, ...], str] = {}
"""Checksums by device, inode, size, mtime and ctime of the file."""


def file_sha256(file: Path) -> str:
    """Return the sha256 of a file's contents as they are now; this finds damage of the disk too."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def contents_sha256(file: Path) -> str:
    """Return the sha256 of a file's contents; this process reads an unchanged file once."""
    status, now = file.stat(), time.time()
    state = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if state in READ:
        return READ[state]
    found = file_sha256(file)
    if now - status.st_ctime > SETTLED_S:
        READ[state] = found
    return found
