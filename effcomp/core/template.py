"""Template process: it imports libraries once, and forks the processes that begin with them.

    python -m effcomp.core.template MODULE LIBRARY...

PyTorch and transformers take three seconds of processor time to import. A forked process begins with a copy of the
template's memory; the kernel copies a page when either side writes to it. The template calls nothing of what it
imports: it computes nothing, sets no number of threads and uses no GPU. A fork copies one thread only, so no import
may start one. (OpenBLAS, which NumPy and SciPy import, does. It stops its threads before a fork, and starts them when
it needs them.)

Its standard input is a socket, into which it writes READY when it has imported. Each message that it reads there is the
environment of a new process, with four files: standard input, output and error, and a pipe that receives its process
number at once, and its exit code at the end.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np

from effcomp.core.closing import Closing
from effcomp.core.garbage import no_garbage
from effcomp.core.process import PATIENCE_S, ProcessFailed, environment_with, way_of_ending

MESSAGE_BYTES = 2**16
READY = b"ready"
STDERR = 2
PAGEMAP = Path("/proc/self/pagemap")
"""File that says of each page of this process whether it is in memory; some sandboxes have none."""
PRESENT = np.uint64(1 << 63)
"""Bit of an entry of PAGEMAP: the page is in memory."""


class Forked:
    """Forked process, with as much of `subprocess.Popen` as `effcomp.core.process.Process` uses."""

    returncode: int | None

    def __init__(self, control: socket.socket, environment: dict[str, str]) -> None:
        """Ask the template at the other end of the socket for a process, and wait for its number.

        Raises:
            EOFError: the template has ended.
        """
        (standard_input, to_it), (from_it, standard_output), (reports, report) = os.pipe(), os.pipe(), os.pipe()
        self.stdin, self.stdout, self.reports = os.fdopen(to_it, "w"), os.fdopen(from_it), os.fdopen(reports, "rb", 0)
        with contextlib.suppress(BrokenPipeError):  # it has ended: no number comes
            message = json.dumps(environment).encode()
            socket.send_fds(control, [message], [standard_input, standard_output, STDERR, report])
        for file in (standard_input, standard_output, report):
            os.close(file)
        number, self.returncode = self.reports.readline(), None
        if not number:
            raise EOFError("the template has ended")
        self.pid = int(number)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return its exit code: -9 where SIGKILL ended it.

        Raises:
            TimeoutExpired: it has not ended after `timeout` seconds.
        """
        if self.returncode is None:
            if not select.select([self.reports], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            code = self.reports.readline()
            if not code:  # the template was killed, and the process is nobody's child
                os.kill(self.pid, signal.SIGKILL)
            self.returncode = int(code or -signal.SIGKILL)
            self.reports.close()
        return self.returncode

    def poll(self) -> int | None:
        """Return its exit code; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def start(modules: list[str], its_end: socket.socket, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    """Start the process of a template, whose standard input is its end of the socket."""
    command = [sys.executable, "-m", "effcomp.core.template", *modules]
    return subprocess.Popen(command, stdin=its_end.fileno(), stdout=subprocess.DEVNULL, env=environment)


class Template(Closing):
    """Client of a template. Use it as a context manager: the template ends with the block, after its processes."""

    def __init__(self, module: str, libraries: tuple[str, ...], environment: dict[str, str]) -> None:
        """Start the template; it imports while this process goes on.

        Args:
            module: every forked process calls its `main`.
            libraries: modules to import besides.
            environment: added to this process's own.
        """
        self.libraries, self.has_forked, self.is_ready = libraries, False, False
        self.control, its_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its_end:
            self.process = start([module, *libraries], its_end, environment_with(environment))

    def wait_until_ready(self) -> None:
        """Wait until it has imported, or has failed to, which `fork` says."""
        if not self.is_ready:
            with contextlib.suppress(ConnectionResetError):  # it was killed, and had not read what was sent
                self.control.recv(MESSAGE_BYTES)
            self.is_ready = True

    def fork(self, environment: dict[str, str]) -> Forked:
        """Return a new process of the template, with these variables beside the template's.

        Raises:
            ProcessFailed: the template could not import its modules, or was killed.
        """
        self.wait_until_ready()
        try:
            forked = Forked(self.control, environment)
        except EOFError:
            code = self.process.wait(PATIENCE_S)
        else:
            self.has_forked = True
            return forked
        way_on = "its message is above" if code >= 0 else "run the same command again"
        raise ProcessFailed(f"the template of the measured processes {way_of_ending(code)}; {way_on}")

    def close(self) -> None:
        if not self.has_forked:  # it may import for seconds yet, and has no process to wait for
            self.process.kill()
        self.control.close()
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def forks_alike() -> bool:
    """Tell whether this system has what makes a forked process like one that imported the libraries itself."""
    return PAGEMAP.exists() and hasattr(os, "pidfd_open")


def main() -> None:
    """Import, then fork until the client's end of the socket closes. Forked processes return from `fork_on_demand`."""
    module, *libraries = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the client, which ends this process
    with no_garbage():
        for name in (module, *libraries):
            import_module(name)
    pages = present_pages()
    if fork_on_demand():
        for page in pages:
            ctypes.string_at(page, 1)
        sys.modules[module].main()


def fork_on_demand() -> bool:
    """Fork a process for each message, and report its end. Return True in a forked process, and False in the template
    after the last one has ended."""
    control = socket.socket(fileno=0)
    with contextlib.suppress(BrokenPipeError):  # the client has ended
        control.send(READY)
    listening, running = [0], dict[int, tuple[int, int]]()  # by a descriptor of the process: its number, its report
    while listening or running:
        ready, _, _ = select.select([*listening, *running], [], [])
        for ended in [one for one in ready if one in running]:
            number, report = running.pop(ended)
            code = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
            tell(report, code)
            os.close(report)
            os.close(ended)
        if 0 not in ready:
            continue
        message, files, _, _ = socket.recv_fds(control, MESSAGE_BYTES, 4)
        if not message:
            listening = []
            continue
        *standard, report = files
        child = os.fork()
        if child == 0:
            control.detach()  # its number, 0, becomes standard input
            for number, file in enumerate(standard):
                os.dup2(file, number)
            for file in (*files, *running, *(other for _, other in running.values())):
                os.close(file)
            os.environ.update(json.loads(message))
            return True
        tell(report, child)
        running[os.pidfd_open(child)] = child, report
        for file in standard:
            os.close(file)
    return False


def tell(report: int, number: int) -> None:
    """Write a number into the pipe that a client reads; one that has ended reads nothing."""
    with contextlib.suppress(BrokenPipeError):
        os.write(report, f"{number}\n".encode())


def present_pages() -> list[int]:
    """Return the addresses of the pages of mapped files that are in this process's memory. A fork does not hand them
    on, and a process that reads them has the resident set of one that imported the libraries itself."""
    size, found = os.sysconf("SC_PAGE_SIZE"), list[int]()
    with PAGEMAP.open("rb", buffering=0) as pagemap:
        for line in Path("/proc/self/maps").read_text().splitlines():
            addresses, access, _, _, inode, *_ = line.split()
            if inode == "0" or not access.startswith("r"):
                continue
            first, end = (int(address, 16) // size for address in addresses.split("-"))
            pagemap.seek(first * 8)
            entries = np.frombuffer(pagemap.read((end - first) * 8), np.uint64)
            found += ((first + np.flatnonzero(entries & PRESENT)) * size).tolist()
    return found


if __name__ == "__main__":
    main()
