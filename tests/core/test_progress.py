"""Progress in a file: whole lines with the share that is done and the time left."""

import fcntl
import os
import pty
import select
import struct
import termios

import pytest

from effcomp.core import progress
from effcomp.core.progress import Progress, duration


def test_a_line_has_the_share_and_the_time_left() -> None:
    with Progress("fine-tuning", 200) as stage:
        stage.to(50, "loss 0.42")
        assert stage.line(elapsed_s=20) == "fine-tuning: 25 %, 60 s left, loss 0.42"


def test_before_the_first_step_the_time_so_far_is_shown() -> None:
    with Progress("answering the test", 3) as stage:
        assert stage.line(elapsed_s=20) == "answering the test: 0 %, 20 s so far"


def test_more_work_than_was_announced_is_all_of_it() -> None:
    with Progress("timing", 2) as stage:
        stage.add(3)
        assert stage.line(elapsed_s=5) == "timing: 100 %, 0 s left"


@pytest.mark.parametrize("columns", [0, 60])
def test_a_terminal_gets_a_bar_in_one_line_whatever_width_it_reports(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 0, columns, 0, 0))
    with os.fdopen(end, "w") as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        with Progress("fine-tuning", 10) as stage:
            stage.to(5, "loss 0.42")
            stage.bar.refresh()
        stderr.flush()
        assert select.select([terminal], [], [], 5)[0], "nothing was drawn"
        drawn = os.read(terminal, 10_000).decode()
    os.close(terminal)
    assert "fine-tuning:  50 % |" in drawn
    assert "\n" not in drawn
    assert max(map(len, drawn.split("\r"))) < (columns or 80)


def test_a_file_gets_lines_and_not_more_often_than_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress("timing", 2) as stage:
        stage.add(1)
        assert capsys.readouterr().err == "", "it has only begun"
        monkeypatch.setattr(progress, "LINE_S", 0.0)
        stage.add(1)
    assert capsys.readouterr().err == "timing: 100 %, 0 s left\n"


@pytest.mark.parametrize(("seconds", "words"), [(4.4, "4 s"), (170, "3 min"), (7500, "2 h 5 min")])
def test_a_duration_is_rounded(seconds: float, words: str) -> None:
    assert duration(seconds) == words
