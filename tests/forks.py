"""Client of the process that forks commands (tests/forked.py)."""

import atexit
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from effcomp.core.device import ALLOCATOR, WAITING

ROOT = Path(__file__).resolve().parent.parent


class Started:
    """Command that was left running, with as much of `subprocess.Popen` as tests use that end it."""

    def __init__(self, forks: "Forks", pid: int) -> None:
        self.forks, self.pid, self.ended = forks, pid, os.pidfd_open(pid)
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return its exit code."""
        if self.returncode is None:
            if not select.select([self.ended], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = int(self.forks.ask("exit_code", pid=self.pid)["code"])
            os.close(self.ended)
        return self.returncode

    def poll(self) -> int | None:
        """Return its exit code; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self.ended, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Forks:
    """Client of the process that forks."""

    def __init__(self) -> None:
        """Start it."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.forked"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | WAITING | ALLOCATOR,  # read when a process starts
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, module: str, arguments: list[str], cwd: Path, own: Path | None, patience_s: int) -> dict[str, Any]:
        """Run `main` of a module, or a script, in the folder `cwd`, with this process's environment; return its exit
        code, what it printed, and the processor seconds that it and its imports took.

        Args:
            own: a folder with modules of the user's.
            patience_s: it is killed when it takes longer.
        """
        path = {"PYTHONPATH": os.pathsep.join(map(str, filter(None, [ROOT, own])))}
        there = {"cwd": str(cwd), "environment": os.environ | path}
        return self.ask("run_to_end", module=module, arguments=arguments, patience_s=patience_s, **there)

    def start(self, arguments: list[str], cwd: Path, *, own_group: bool) -> Started:
        """Start `effcomp.run` there, in a process group of its own or in this one's, and leave it running."""
        there = {"cwd": str(cwd), "environment": os.environ | {"PYTHONPATH": str(ROOT)}}
        return Started(self, self.ask("leave_running", arguments=arguments, own_group=own_group, **there)["pid"])

    def ask(self, function: str, **arguments: Any) -> dict[str, Any]:
        """Have a function of ANSWERS called there; return its answer."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([function, arguments]) + "\n")
        self.process.stdin.flush()
        answered: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answered

    def close(self) -> None:
        """End it by closing its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


@cache
def forks() -> Forks:
    """Return the one of this process, started when it is first needed."""
    started = Forks()
    atexit.register(started.close)
    return started
