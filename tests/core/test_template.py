"""A template forks processes that are processes of their own, and nothing of it outlives who started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from effcomp.core.process import Process, ProcessFailed
from effcomp.core.template import Template
from tests.core.test_process import wait_for

SERVED = """
import os, threading, time
from effcomp.core.process import serve
class Commands:
    state = 0
    def add(self):
        self.state += 1
        print("a library's words")
        return {"state": self.state, "own": os.environ.get("OWN"), "common": os.environ["COMMON"]}
    def work(self):
        open("started", "w").write(f"{os.getpid()} {os.getppid()}")
        time.sleep(60)
    def die(self):
        os._exit(3)
def main():
    serve(Commands())
"""
PARENT = """
from effcomp.core.process import Process
from effcomp.core.template import Template
with Template("served", (), {"COMMON": "1"}) as template, Process(template.fork({}), "the busy one") as process:
    process.ask("work")
"""


@pytest.fixture
def folder(importable: Path) -> Path:
    (importable / "served.py").write_text(SERVED)
    return importable


def test_a_template_that_imports_yet_is_not_waited_for(folder: Path) -> None:
    (folder / "slow_to_import.py").write_text("import time\ntime.sleep(60)\n")
    began = time.monotonic()
    with Template("slow_to_import", (), {}) as template:
        pass
    assert template.process.returncode == -signal.SIGKILL
    assert time.monotonic() - began < 5


def test_what_waits_for_a_template_goes_on_when_it_has_imported_or_failed(folder: Path) -> None:
    (folder / "soon_imported.py").write_text("import time\ntime.sleep(0.5)\nopen('imported', 'w').close()\n")
    (folder / "never_imported.py").write_text("import time\ntime.sleep(0.5)\nraise ImportError\n")
    with Template("soon_imported", (), {}) as template:
        template.wait_until_ready()
        template.wait_until_ready()
        assert (folder / "imported").exists()
    with Template("never_imported", (), {}) as template:
        template.wait_until_ready()
        with pytest.raises(ProcessFailed):
            template.fork({})


def test_each_process_has_its_own_state_environment_and_answers(folder: Path) -> None:
    with Template("served", (), {"COMMON": "1"}) as template:
        with (
            Process(template.fork({"OWN": "a"}), "the first") as first,
            Process(template.fork({}), "the second") as second,
        ):
            assert first.ask("add") == {"state": 1, "own": "a", "common": "1"}
            assert first.ask("add") == {"state": 2, "own": "a", "common": "1"}
            assert second.ask("add") == {"state": 1, "own": None, "common": "1"}
        assert (first.process.poll(), second.process.poll()) == (0, 0)
    assert template.process.returncode == 0


def test_the_end_of_a_process_is_reported_and_the_template_goes_on(folder: Path) -> None:
    with Template("served", (), {"COMMON": "1"}) as template:
        with pytest.raises(ProcessFailed, match="ended with exit code 3 during 'die'"):
            Process(template.fork({}), "it").ask("die")
        killed = Process(template.fork({}), "it")
        os.kill(killed.pid, signal.SIGKILL)
        with pytest.raises(ProcessFailed, match="killed by signal 9"):
            killed.ask("add")
        with Process(template.fork({}), "it") as process:
            assert process.ask("add")["state"] == 1


def test_a_template_that_cannot_import_is_reported(folder: Path) -> None:
    with Template("served", ("not_there",), {}) as template, pytest.raises(ProcessFailed, match="template"):
        template.fork({})


def test_a_process_whose_template_was_killed_can_be_ended(folder: Path) -> None:
    with Template("served", (), {"COMMON": "1"}) as template:
        process = Process(template.fork({}), "it")
        template.process.kill()
        template.process.wait()
        with pytest.raises(ProcessFailed, match=r"was killed by signal 9 \(out of memory\?\); run the same command"):
            template.fork({})
        assert process.ask("add")["state"] == 1
        process.process.kill()
        process.close()
        psutil.wait_procs([psutil.Process(process.pid)] if psutil.pid_exists(process.pid) else [], timeout=10)
        assert not psutil.pid_exists(process.pid)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_template_and_processes_end_when_who_started_them_is_killed(folder: Path, end: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stderr=subprocess.DEVNULL, start_new_session=True)
    wait_for(folder / "started")
    time.sleep(0.1)
    numbers = map(int, (folder / "started").read_text().split())
    family = [psutil.Process(number) for number in numbers]
    if end == signal.SIGINT:  # as Ctrl-C in a terminal
        os.killpg(parent.pid, end)
    else:
        os.kill(parent.pid, end)
    parent.wait()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
