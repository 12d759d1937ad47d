"""Parsing of arguments for all commands, and refusal of a user's error in one line."""

import argparse
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from effcomp.core.errors import REFUSED, UserError

HOME = re.compile(r"(?<=[=,])~(?=/)")


class Parser(argparse.ArgumentParser):
    """Parser of arguments that reports an error in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        refuse(f"{message}; --help shows what there is")


def expand_home(override: str) -> str:
    """Return an override with the home folder for `~` at the beginning of its values: a shell leaves it after the name
    of a setting, and Hydra's grammar has another use for it."""
    try:
        return HOME.sub(lambda _: str(Path.home()), override)
    except RuntimeError:  # nobody's home: Hydra refuses the sign
        return override


def refuse(message: str) -> NoReturn:
    """Print one line to standard error and exit with code 2."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(REFUSED)


@contextmanager
def refusing() -> Iterator[None]:
    """Refuse the command when the block raises UserError."""
    try:
        yield
    except UserError as error:
        refuse(str(error))


def discard_stdout() -> None:
    """Discard what is still printed after the reader of the output has gone: Python would complain when it flushes."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def interruptible() -> Iterator[None]:
    """End the command in one line when Ctrl-C or SIGTERM interrupts the block, and silently, with a shell's code of
    SIGPIPE, when the reader of its output has gone (`| head`)."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        print("interrupted: run the same command again", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        discard_stdout()
        sys.exit(128 + signal.SIGPIPE)
    finally:
        signal.signal(signal.SIGTERM, before)
