"""Commands of effcomp, each in a process forked from one that has imported what they need: `python -m tests.forked`
(tests/forks.py is its client).

It answers lines of JSON on standard input, the name and the arguments of a function of ANSWERS, with lines of JSON. A
forked process has its own folder, environment, standard output and exit code, and is as fresh as one that Python
starts, but for the imports and the caches of Hydra's parsers. What those took is in the answer. Seconds are the
processor's, which another process on this machine does not change. The first two processes that a sweep starts for its
configurations are forked as well (the second follows a failure), for they import the same, and so are the first sweep
that a script starts and the templates of measured processes (tests/forked_templates.py); all others that a command
starts are Python's own.
"""

import atexit
import gc
import json
import os
import random
import runpy
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import weakref
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, Self

from effcomp.core.process import start
from tests.forked_templates import TEMPLATE, Templates

JOB = "effcomp.sweep.job"


class ForkedJob:
    """Process of a sweep's configurations, with as much of `subprocess.Popen` as `Process` uses."""

    def __init__(self, spare: "ForkedJob | None" = None) -> None:
        """Fork it; it waits for its first command.

        Args:
            spare: one that was forked before.
        """
        (standard_input, to_it), (from_it, standard_output) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            if spare is not None:
                spare.stdin.close()  # only its user holds it open
            os.dup2(standard_input, 0)
            os.dup2(standard_output, 1)
            for file in (standard_input, to_it, from_it, standard_output):
                os.close(file)
            end_with(import_module(JOB).main)
        os.close(standard_input)
        os.close(standard_output)
        self.stdin, self.stdout, self.ended = os.fdopen(to_it, "w"), os.fdopen(from_it), os.pidfd_open(self.pid)
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return its exit code."""
        if self.returncode is None:
            if not select.select([self.ended], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


class ForkedSweep:
    """Process of the sweep that a script starts by `effcomp.sweep`, with as much of `subprocess.Popen` as that uses."""

    def __init__(self) -> None:
        """Fork it before the script begins; it waits for its overrides, and ends when the script ends without any."""
        (asked, asks), (errors, standard_error) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(asks)
            with os.fdopen(asked) as stream:
                line = stream.readline()
            if not line:
                os._exit(0)
            started = json.loads(line)
            os.chdir(started["cwd"])
            os.environ.update(started["environment"])
            for number, file in enumerate((os.open(os.devnull, os.O_RDWR), standard_error), start=1):
                os.dup2(file, number)
                os.close(file)
            run("effcomp.run", ["-m", *started["overrides"]])
        for file in (asked, standard_error):
            os.close(file)
        self.asks, self.stderr = os.fdopen(asks, "w"), os.fdopen(errors)
        self.returncode: int | None = None

    def start(self, overrides: list[str]) -> Self:
        """Do what `effcomp.api.start_sweep` does."""
        asked = {"overrides": overrides, "cwd": str(Path.cwd()), "environment": dict(os.environ)}
        with self.asks:
            self.asks.write(json.dumps(asked) + "\n")
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stderr.close()
        self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def main() -> None:
    import_all()
    vars(import_module("effcomp.pipeline.compose"))["composed"]([])  # fills the caches of Hydra's parsers
    leave_exits_of_imports()
    gc.freeze()  # what is imported is not looked through for garbage by every forked process
    imported_s = time.process_time()
    assert threading.active_count() == 1, "with threads, a fork is not what a fresh process is"
    vars(import_module(TEMPLATE))["start"] = Templates().start
    for line in sys.stdin:
        function, arguments = json.loads(line)
        print(json.dumps({"imported_s": imported_s, **ANSWERS[function](**arguments)}), flush=True)


def import_all() -> None:
    import accelerate  # noqa: F401
    import matplotlib.image  # noqa: F401
    import mlflow.pyfunc  # noqa: F401
    import sklearn.model_selection  # noqa: F401
    import transformers.models.bert.modeling_bert
    import transformers.models.gpt2.modeling_gpt2  # noqa: F401

    import effcomp.__main__
    import effcomp.command.check
    import effcomp.command.find
    import effcomp.command.predict
    import effcomp.command.upload
    import effcomp.evaluate.classification
    import effcomp.finetune.distill
    import effcomp.finetune.trainer
    import effcomp.measure.worker
    import effcomp.models.packaged
    import effcomp.pipeline.compose
    import effcomp.pipeline.run
    import effcomp.report.__main__
    import effcomp.report.build
    import effcomp.report.figures.confusion
    import effcomp.run
    import effcomp.tasks.movie_reviews
    import effcomp.tracking.mlflow_runs  # noqa: F401


def leave_exits_of_imports() -> None:
    """Unregister the costly functions that PyTorch's modules have registered for the end of the process: every forked
    one would take its operators apart, and sum up its compilations, for 0.13 s."""
    from torch._dynamo.utils import dump_compile_times

    atexit.unregister(dump_compile_times)
    weakref.finalize._registry.clear()  # type: ignore[attr-defined]


def run_to_end(
    module: str, arguments: list[str], cwd: str, environment: dict[str, str], patience_s: int
) -> dict[str, Any]:
    """Fork a process that runs a command; return what it printed and how it ended."""
    with tempfile.TemporaryFile("r+") as out, tempfile.TemporaryFile("r+") as err:
        child = os.fork()
        if child == 0:
            stand(cwd, environment, (os.open(os.devnull, os.O_RDONLY), out.fileno(), err.fileno()))
            run(module, arguments)
        signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
        signal.alarm(patience_s)
        _, status, used = os.wait4(child, 0)
        signal.alarm(0)
        printed = {name: file.read() for name, file in (("stdout", out), ("stderr", err)) if file.seek(0) == 0}
    return {"code": os.waitstatus_to_exitcode(status), "seconds": used.ru_utime + used.ru_stime, **printed}


def leave_running(arguments: list[str], cwd: str, environment: dict[str, str], own_group: bool) -> dict[str, Any]:
    """Fork a process that runs `effcomp.run` and prints nowhere; return its number."""
    child = os.fork()
    if child == 0:
        if own_group:
            os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has background commands ignore it
        stand(cwd, environment, (os.open(os.devnull, os.O_RDWR),) * 3)
        run("effcomp.run", arguments)
    return {"pid": child}


def exit_code(pid: int) -> dict[str, Any]:
    """Wait for the end of a process that was left running."""
    return {"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}


ANSWERS: dict[str, Callable[..., dict[str, Any]]] = {
    function.__name__: function for function in (run_to_end, leave_running, exit_code)
}


def stand(cwd: str, environment: dict[str, str], files: tuple[int, int, int]) -> None:
    """Give this process its folder, environment and standard files."""
    os.chdir(cwd)
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.environ.clear()
    os.environ.update(environment)


def run(module: str, arguments: list[str]) -> NoReturn:
    """Do what Python does for `python -m MODULE ARGUMENTS`, or for a script here, and end this process."""
    if module.endswith(".py"):
        vars(import_module("effcomp.api"))["start_sweep"] = ForkedSweep().start
    random.seed()
    tempfile.tempdir = None  # TMPDIR may be another one
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    sys.path[:1] = [str(Path.cwd()), *os.environ["PYTHONPATH"].split(os.pathsep)[1:]]
    if {"-m", "find"} & set(arguments):
        jobs = [spare := ForkedJob(), ForkedJob(spare)]
        vars(import_module(JOB))["start"] = lambda *given: jobs.pop() if jobs else start(*given)
    end_with(lambda: call(module, arguments))


def call(module: str, arguments: list[str]) -> None:
    """Run `main` of a module, or a script."""
    if module.endswith(".py"):
        sys.argv = [module, *arguments]
        runpy.run_path(module, run_name="__main__")
        return
    name = f"{module}.__main__" if hasattr(sys.modules.get(module), "__path__") else module
    started = import_module(name)
    sys.argv = [str(started.__file__), *arguments]
    started.main()


def end_with(main: Callable[[], None]) -> NoReturn:
    """Call it, and end this process as Python does after its main module."""
    code: Any = 0
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if not stream.closed:  # by the command
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
