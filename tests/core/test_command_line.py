"""Ends of a command that are one line."""

import os
import signal
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
