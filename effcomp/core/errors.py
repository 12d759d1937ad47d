"""Errors that a user can cause and correct."""

import errno
import os
from typing import ClassVar


class UserError(Exception):
    """Wrong value in a command, a config or a data file.

    The message is one line that names the value and the fix; the command ends with exit code 2
    and without a traceback. Any other exception ends it with exit code 1 and one line, and its
    traceback goes to the log of the run (effcomp.core.failure).
    """

    status: ClassVar[str] = "refused"
    same_as: str | None = None


class Skipped(UserError):
    """Configuration that a product of choices leaves out: its choices do not go together, or it occurs twice.

    Alone it is refused as any other."""

    status: ClassVar[str] = "skipped"

    def __init__(self, reason: str, same_as: str | None = None) -> None:
        """Keep the reason, and for a repetition (`same_as`) the number of the sweep's equal configuration."""
        super().__init__(reason)
        self.same_as = same_as


class NotFinite(UserError):
    """Configuration that computes NaN or infinity: a finding about its format and runtime.

    A sweep counts it as failed and continues."""

    status: ClassVar[str] = "failed"


class DiskFull(UserError):
    """Store without room for an entry: nothing of the entry is left, and what was finished is kept.

    A sweep counts the configuration as failed and continues."""

    status: ClassVar[str] = "failed"


class Diverged(UserError):
    """Training whose loss or weights are no longer of use: a finding about its settings.

    A sweep counts it as failed and continues."""

    status: ClassVar[str] = "failed"


REFUSED = 2
"""Exit code of a command that is refused."""
FAILED = 4
"""Exit code of `effcomp check` and of a search where the measurement failed: 1 says that a limit is broken."""
FULL = (errno.ENOSPC, errno.EDQUOT)


def lacks_room(error: BaseException) -> bool:
    """Tell whether the system refused to write because the disk, or the user's share of it, is full.

    Libraries in Rust raise errors of their own, which hold the system's words.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in FULL
    return any(os.strerror(number) in str(error) for number in FULL)


def first_line(error: BaseException) -> str:
    """Return the first sentence of an exception's message, without the full stop; its cause's where it only names a
    field.
    """
    cause = error.__cause__ or error
    lines = str(cause).strip().splitlines() or [type(error).__name__]
    named = f"no such name: {lines[0]}" if isinstance(cause, KeyError) else lines[0]
    return named.partition(". ")[0].rstrip(".:")
