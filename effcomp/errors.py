"""The errors that a user can cause and can mend."""


class UserError(Exception):
    """A wrong value in a command, a config or a data file.

    The message is one line that names the value and the way on; the command ends with exit code 2
    and without a traceback. Whatever is not a UserError is a fault of ours and fails loudly.
    """


EXIT_CODE = 2
