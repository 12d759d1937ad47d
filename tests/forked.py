"""Commands of effcomp, each in a process forked from one that has imported what they need: `python -m tests.forked`.

It answers lines of JSON on standard input, {"module", "arguments", "folder"}, with lines of JSON. A forked process is
as fresh as one that Python starts, but for the imports; what those took is in the answer. Seconds are the processor's,
which another process on this machine does not change; a command that waits for longer than PATIENCE_S is killed.
"""

import gc
import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

PATIENCE_S = 30


def main() -> None:
    import_all()
    gc.freeze()  # what is imported is not looked through for garbage by every forked process
    imported_s = time.process_time()
    assert threading.active_count() == 1, "with threads, a fork is not what a fresh process is"
    for line in sys.stdin:
        print(json.dumps({"imported_s": imported_s, **answer(**json.loads(line))}), flush=True)


def import_all() -> None:
    import transformers.models.bert.modeling_bert
    import transformers.models.gpt2.modeling_gpt2  # noqa: F401

    import effcomp.command.upload
    import effcomp.finetune.distill
    import effcomp.models.packaged
    import effcomp.pipeline.compose
    import effcomp.pipeline.run
    import effcomp.report.__main__
    import effcomp.report.build
    import effcomp.run
    import effcomp.tasks.movie_reviews
    import effcomp.tracking.mlflow_runs  # noqa: F401


def answer(module: str, arguments: list[str], folder: str) -> dict[str, Any]:
    """Run a command in `folder`/work; what it printed and how it ended."""
    place = Path(folder)
    (place / "work").mkdir()
    child = os.fork()
    if child == 0:
        run(module, arguments, place)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.alarm(PATIENCE_S)
    _, status, used = os.wait4(child, 0)
    signal.alarm(0)
    printed = {name: (place / name).read_text() for name in ("stdout", "stderr")}
    return {"code": os.waitstatus_to_exitcode(status), "seconds": used.ru_utime + used.ru_stime, **printed}


def run(module: str, arguments: list[str], place: Path) -> None:
    os.chdir(place / "work")
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(place / name, os.O_WRONLY | os.O_CREAT), number)
    sys.argv = [module, *arguments]
    code: Any = 0
    try:
        sys.modules[module].main()  # as `python -m` does
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
