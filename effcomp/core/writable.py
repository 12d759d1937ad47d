"""Check of a folder before something is written to it."""

import os
from contextlib import suppress
from pathlib import Path

from effcomp.core.errors import UserError


def check_writable(folder: Path, setting: str) -> None:
    """Raise UserError when a folder that a setting names cannot be made or written to; folders and files made for the
    check are removed."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise UserError(f"{setting}={folder}: this folder cannot be written to; give another one")
    except OSError as error:
        raise UserError(f"{setting}={folder}: {error.strerror or error}; give another folder") from error
    finally:
        for made in missing:
            with suppress(OSError):
                made.rmdir()
