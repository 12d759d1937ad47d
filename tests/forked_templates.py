"""Templates of measured processes (effcomp.core.template), forked from a process that has imported their libraries.

`python -m effcomp.core.template` imports PyTorch and transformers for six seconds of processor time, in every command
that measures. A forked one is the same program, with the same arguments and environment.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from importlib import import_module
from pathlib import Path

TEMPLATE = "effcomp.core.template"
MESSAGE_BYTES = 2**17


class ForkedTemplate:
    """Process of a template, with as much of `subprocess.Popen` as `Template` uses."""

    def __init__(self, pid: int) -> None:
        self.pid, self.ended = pid, os.pidfd_open(pid)

    def wait(self, timeout: float | None = None) -> None:
        if not select.select([self.ended], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)

    def kill(self) -> None:
        signal.pidfd_send_signal(self.ended, signal.SIGKILL)


class Templates:
    """Client of a process that forks templates, which this process and those that it forks share."""

    def __init__(self) -> None:
        """Fork it from this process. It ends with the last of its clients."""
        self.control, its_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            self.control.close()
            serve(its_end)
            os._exit(0)
        its_end.close()

    def start(self, modules: list[str], its_end: socket.socket, environment: dict[str, str]) -> ForkedTemplate:
        """Do what `effcomp.core.template.start` does."""
        here = {"cwd": str(Path.cwd()), "group": os.getpgrp()}
        asked = json.dumps({"modules": modules, "environment": environment, **here}).encode()
        answer, its_answer = os.pipe()
        socket.send_fds(self.control, [asked], [its_end.fileno(), sys.stderr.fileno(), its_answer])
        os.close(its_answer)
        with os.fdopen(answer) as answered:
            return ForkedTemplate(int(answered.readline()))


def serve(control: socket.socket) -> None:
    """Fork a template for each message; a forked process ends as the template does."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    while True:
        message, files, _, _ = socket.recv_fds(control, MESSAGE_BYTES, 3)
        if not message:
            return
        standard_input, standard_error, answer = files
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            control.close()
            os.close(answer)
            for number, file in enumerate((standard_input, os.open(os.devnull, os.O_WRONLY), standard_error)):
                os.dup2(file, number)
                os.close(file)
            become(**json.loads(message))
        os.write(answer, f"{child}\n".encode())
        for file in files:
            os.close(file)


def become(modules: list[str], environment: dict[str, str], cwd: str, group: int) -> None:
    """Be the template of these modules, or one of its measured processes, in a process group."""
    from tests.forked import end_with

    os.setpgid(0, group)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:1] = environment["PYTHONPATH"].split(os.pathsep)
    sys.argv = [TEMPLATE, *modules]
    end_with(import_module(TEMPLATE).main)
