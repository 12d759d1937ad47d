"""A process of our own: it does not outlive who started it, whatever it is at."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from effcomp.core.process import Process, ProcessFailed, start

BUSY = """
import time
from effcomp.core.process import serve
class Commands:
    def work(self):
        open("started", "w").close()
        try:
            time.sleep(60)
        finally:
            open("cleaned", "w").close()
    def add(self, a, b):
        print("a library's words")
        return {"sum": a + b}
serve(Commands())
"""
SLOW_TO_END = """
import atexit, os, signal, time
from effcomp.core.process import GRACE_S, leave, serve
class Library:
    def __del__(self, mkdir=os.mkdir):
        mkdir("freed")
class Commands:
    def work(self):
        return {}
    def interrupt(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
def end():
    time.sleep(GRACE_S + 0.5)
    open("ended", "w").close()
atexit.register(end)
library = Library()
serve(Commands())
leave()
"""
PARENT = """
from effcomp.core.process import Process, start
with Process(start("busy", {}), "the busy one") as process:
    open("pid", "w").write(str(process.pid))
    process.ask("work")
"""


@pytest.fixture
def folder(importable: Path) -> Path:
    (importable / "busy.py").write_text(BUSY)
    (importable / "slow_to_end.py").write_text(SLOW_TO_END)
    return importable


def wait_for(file: Path) -> None:
    end = time.monotonic() + 30
    while not file.exists():
        assert time.monotonic() < end, f"{file} was not written"
        time.sleep(0.05)


def test_what_it_prints_does_not_reach_its_answers(folder: Path) -> None:
    with Process(start("busy", {}), "the busy one") as process:
        assert process.ask("add", a=1, b=2) == {"sum": 3}


def test_its_exception_comes_back_with_its_words_and_it_goes_on(folder: Path) -> None:
    with Process(start("busy", {}), "the busy one") as process:
        with pytest.raises(ProcessFailed, match=r"^TypeError: unsupported [^\n]* \(__main__, line 13\)") as failed:
            process.ask("add", a=1, b="2")
        assert failed.value.__notes__[0].startswith("Traceback ")
        assert process.ask("add", a=1, b=2) == {"sum": 3}


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_it_leaves_its_work_and_ends_when_who_started_it_is_killed(folder: Path, end: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT])
    wait_for(folder / "started")
    child = psutil.Process(int((folder / "pid").read_text()))
    os.kill(parent.pid, end)
    parent.wait()
    child.wait(timeout=20)
    assert (folder / "cleaned").exists(), "it unwinds: temporary folders are removed, its own processes end"


@pytest.mark.parametrize(("command", "code"), [("work", 0), ("interrupt", 130)])
def test_its_end_is_not_disturbed_after_its_work_or_an_interrupt(
    command: str, code: int, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Process(start("slow_to_end", {}), "the slow one") as process:
        process.ask("work")
        process.send(command)
    assert process.process.returncode == code
    assert (folder / "ended").exists()
    assert (folder / "freed").exists() == (code != 0), "its memory is freed at once"
    assert capfd.readouterr().err == ""
