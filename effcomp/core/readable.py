"""Folders that a setting names and the system does not let us read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from effcomp.core.errors import UserError


@contextmanager
def reading(folder: Path, setting: str) -> Iterator[None]:
    """Raise UserError where the system refuses to look into a folder or to read a file of it: the folder may not be
    entered, its name is too long, its disk does not answer."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{setting}={folder}: {error.strerror or error}; give a folder that can be read") from error
