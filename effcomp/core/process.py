"""A child process that answers commands, and both ends of its pipe.

Each command is one line of JSON on its standard input, each answer one line on its standard output; whatever a
library prints there goes to standard error. The child ends when its standard input closes, so it never outlives its
parent.
"""

import atexit
import contextlib
import gc
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn, Protocol, Self, TextIO

from effcomp.core.packages import PACKAGE

PATIENCE_S = 10
"""Time that a process has to stop its work and exit."""
GRACE_S = 2
"""Time that work in progress has to end by itself."""


class ProcessFailed(Exception):
    """Exception or death of the other process: the message quotes it in one line, a note has its traceback."""

    def __init__(self, reason: str, trace: str = "") -> None:
        super().__init__(reason)
        if trace:
            self.add_note(trace)


def start(module: str, environment: dict[str, str], cwd: Path | None = None) -> subprocess.Popen[str]:
    """Start a fresh Python process; it imports its libraries while this one goes on.

    Args:
        module: run as `python -m`; it calls `serve`.
        environment: added to this process's own.
        cwd: the folder that its relative paths start from; None: this process's own.
    """
    return subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment_with(environment),
        cwd=cwd,
    )


class Child(Protocol):
    """Process with pipes: a subprocess.Popen, or one that a template forked (effcomp.core.template)."""

    @property
    def pid(self) -> int: ...

    @property
    def stdin(self) -> IO[str] | None: ...

    @property
    def stdout(self) -> IO[str] | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def kill(self) -> None: ...


class Process:
    """Process that calls `serve`. Use it as a context manager: the process ends with the block."""

    def __init__(self, process: Child, called: str) -> None:
        """Take over a process that was started.

        Args:
            called: the subject of messages: `the measured process`.
        """
        self.process, self.called = process, called

    @property
    def pid(self) -> int:
        return self.process.pid

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send one command and wait for its answer.

        Raises:
            ProcessFailed: the command raised an exception there, or the process died.
        """
        self.send(command, **arguments)
        return self.receive(command)

    def send(self, command: str, **arguments: Any) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died; `receive` says how
            self.process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
            self.process.stdin.flush()

    def receive(self, command: str) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise ProcessFailed(f"{self.called} {way_of_ending(self.process.wait())} during '{command}'")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ProcessFailed(answer["error"], answer["traceback"])
        return answer

    def close(self) -> None:
        """Close the process's standard input, which ends it; kill it if it does not end in time."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            self.process.wait(timeout=PATIENCE_S + 1)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        finally:
            self.process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:  # it may be busy for minutes, and nobody waits for its answer
            self.process.kill()
        self.close()


def way_of_ending(code: int) -> str:
    """Return in words how a process ended: by a signal where its exit code is negative."""
    if code >= 0:
        return f"ended with exit code {code}"
    hint = " (out of memory?)" if code == -signal.SIGKILL else ""
    return f"was killed by signal {-code}{hint}"


def serve(server: object) -> None:
    """Answer commands with the methods of `server`, by their names, until standard input closes."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background commands ignore it
    answers = take_stdout()
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    done = threading.Event()
    threading.Thread(target=read, args=(lines, done), daemon=True).start()
    try:
        while (line := lines.get()) is not None:
            request = json.loads(line)
            command = getattr(server, request.pop("command"))
            try:
                answer = command(**request)
            except Exception as error:
                answer = {"error": in_one_line(error), "traceback": traceback.format_exc()}
            answers.write(json.dumps(answer) + "\n")
    except (KeyboardInterrupt, BrokenPipeError):  # Ctrl-C reaches this process too; its parent reports it
        done.set()
        sys.exit(130)
    done.set()
    gc.freeze()  # the last collection would visit all that the libraries define, for a second


def leave() -> NoReturn:
    """End this process after the functions that are registered for its end. Python itself would then free one by one
    the objects of PyTorch and transformers, in half a second and, in a forked process, as many copied pages."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)


def in_one_line(error: BaseException) -> str:
    """Return the kind of an exception, the first line of its message and the place that raised it; of another process's
    the line that quotes it.
    """
    if isinstance(error, ProcessFailed):
        return str(error)
    said = next(iter(str(error).strip().splitlines()), "")
    kind = f"{type(error).__name__}: {said}" if said else type(error).__name__
    places = [f"{frame.f_globals['__name__']}, line {line}" for frame, line in traceback.walk_tb(error.__traceback__)]
    return f"{kind} ({places[-1]})" if places else kind


def take_stdout() -> TextIO:
    """Reserve standard output for the protocol: what libraries print goes to standard error from now on."""
    sys.stdout.flush()
    own = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return own


def read(lines: queue.SimpleQueue[str | None], done: threading.Event) -> None:
    """Pass the commands on; after the last one, stop the work in progress: nobody reads its answer.

    Args:
        done: set when no work is in progress. The end of the process, which may take as long, is not disturbed.
    """
    for line in sys.stdin:
        lines.put(line)
    lines.put(None)
    if done.wait(GRACE_S):
        return
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(PATIENCE_S - GRACE_S)
    os._exit(1)


def environment_with(more: dict[str, str]) -> dict[str, str]:
    """Return this process's environment with these variables, in which a new process finds effcomp."""
    return os.environ | {"PYTHONPATH": python_path()} | more


def python_path() -> str:
    """Return a PYTHONPATH with which a process finds effcomp where this one found it, whatever its working folder."""
    return os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))
