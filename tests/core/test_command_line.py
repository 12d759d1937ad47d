"""Ends of a command that are one line."""

import os
import signal
import subprocess
import sys
import time

import pytest

from effcomp.core.command_line import interruptible


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_one_line(sent: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background commands ignore it
    with pytest.raises(SystemExit) as ended, interruptible():
        os.kill(os.getpid(), sent)
        time.sleep(5)
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted: run the same command again\n"
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_reader_that_has_gone_ends_the_command_silently() -> None:
    """As `| head` ends it."""
    block = "from effcomp.core.command_line import interruptible\nwith interruptible():\n    print('line\\n' * 100_000)"
    with subprocess.Popen([sys.executable, "-c", block], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command:
        assert command.stdout is not None and command.stderr is not None
        command.stdout.close()
        said = command.stderr.read()
    assert (command.returncode, said) == (141, b"")
