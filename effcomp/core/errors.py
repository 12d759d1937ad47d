"""The errors that a user can cause and can mend."""

from typing import ClassVar


class UserError(Exception):
    """A wrong value in a command, a config or a data file.

    The message is one line that names the value and the way on; the command ends with exit code 2
    and without a traceback. Whatever is not a UserError is a fault of ours and fails loudly.
    """

    status: ClassVar[str] = "refused"
    same_as: str | None = None


class Skipped(UserError):
    """A configuration that a product of choices leaves out: choices that do not go together, or one that it holds
    twice. Alone it is refused as any other."""

    status: ClassVar[str] = "skipped"

    def __init__(self, reason: str, same_as: str | None = None) -> None:
        """same_as: the number of the configuration of the sweep that this one is the same as."""
        super().__init__(reason)
        self.same_as = same_as


class NotFinite(UserError):
    """A configuration that computes NaN or infinity: a finding about its format and runtime. A sweep counts it as
    failed and goes on."""

    status: ClassVar[str] = "failed"


class NotLogged(Exception):
    """A configuration that is measured and kept, and could not be shown or logged: the command ends with 1."""


EXIT_CODE = 2
