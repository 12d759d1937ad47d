"""Unexpected exceptions: one line for the user, the traceback for the log."""

import traceback
from pathlib import Path

from effcomp.core.errors import lacks_room
from effcomp.core.process import in_one_line

LOG_FILE = "run.log"
"""Log in the folder of a run or of a sweep's configuration (conf/hydra/job_logging)."""
MAKE_ROOM = "make room and run the same command again: what was finished is kept and will not be computed again"


def failure_line(error: BaseException, folder: Path) -> str:
    """Return the line that tells a failure: a full disk with its folder, others with the log that holds the traceback,
    which is appended there.

    Args:
        folder: the run's or the sweep's.
    """
    if lacks_room(error):
        return f"{folder}: {error}; {MAKE_ROOM}"
    return f"{in_one_line(error)}; {kept_traceback(error, folder)}"


def kept_traceback(error: BaseException, folder: Path) -> str:
    """Append the traceback to the log of the folder and return its place; print it where there is no log."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOG_FILE).open("a") as log:
            traceback.print_exception(error, file=log)
    except OSError:
        traceback.print_exception(error)
        return "the traceback is above"
    return f"the traceback is in {folder / LOG_FILE}"
