"""The measuring process's end of a worker: it sends a command and sleeps until the answer comes."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from effcomp.device import Device
from effcomp.runtimes.base import Runtime


class WorkerFailed(Exception):
    """A worker raised an exception, or died; the message holds its own words."""


class Worker:
    """A fresh process that holds one artifact. Use it as a context manager: it ends with the block."""

    loaded: dict[str, Any]
    """What `load` reported."""

    def __init__(
        self, artifact: Path, inputs: Path, runtime: Runtime, device: Device, fixed_length: int | None = None
    ) -> None:
        """Start the process; it imports its libraries while this one goes on. wait for it with `wait_until_started`."""
        # Inductor keeps compiled code in a folder of its own: a fresh one, or the first call would be a later run's.
        self.scratch = tempfile.TemporaryDirectory(prefix="effcomp-")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "effcomp.measure.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ
            | device.environment()
            | {"PYTHONPATH": python_path(), "TORCHINDUCTOR_CACHE_DIR": self.scratch.name},
        )
        if device.cores is not None:
            os.sched_setaffinity(self.process.pid, device.cores)
        self.send(
            "start",
            artifact=str(artifact),
            inputs=str(inputs),
            runtime=runtime.spec(),
            device=device.spec(),
            fixed_length=fixed_length,
        )

    def wait_until_started(self) -> None:
        """Wait for the libraries.

        Raises:
            WorkerFailed: one cannot be imported, or the artifact names another kind of model.
        """
        self.receive("start")

    def load(self) -> None:
        """Load the artifact, once the process has started.

        Raises:
            WorkerFailed: it could not be loaded.
        """
        self.loaded = self.ask("load")

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send one command and wait for its answer.

        Raises:
            WorkerFailed: the command raised an exception there, or the process died.
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
            code = self.process.wait()
            cause = f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            hint = " (out of memory?)" if code == -9 else ""
            raise WorkerFailed(f"the measured process was {cause}{hint} during '{command}'")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerFailed(f"{answer['error']}\n{answer['traceback']}")
        return answer

    def close(self) -> None:
        """Close its standard input, which ends it; kill it if it does not go."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.close()
            self.process.wait(timeout=10)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self.process.kill()
            self.process.wait()
        finally:
            self.process.stdout.close()
            self.scratch.cleanup()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:  # it may be busy for minutes, and nobody waits for its answer
            self.process.kill()
        self.close()


def python_path() -> str:
    """The worker finds effcomp wherever this process found it, whatever the working folder is."""
    import effcomp

    root = str(Path(effcomp.__file__).parent.parent)
    return os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
