"""python -m effcomp.finetune.launch FOLDER PROCESSES: start the processes of one training, and wait for them."""

import json
import logging
import signal
import sys
from pathlib import Path

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from effcomp.finetune.distributed import FAILURE_FILE


def main() -> None:
    folder, processes = Path(sys.argv[1]), int(sys.argv[2])
    logging.disable()  # the agent reports a failure at length; the message is written below
    config = LaunchConfig(  # torchrun --standalone
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(str(folder / "logs")),
    )
    try:
        elastic_launch(config, sys.executable)("-m", "effcomp.finetune.rank", str(folder))
    except ChildFailedError as error:
        rank, cause = min(error.failures.items(), key=lambda failure: order(failure[1]))
        (folder / FAILURE_FILE).write_text(json.dumps({"rank": rank, **in_words(cause)}))
        sys.exit(1)


def order(failure: ProcessFailure) -> tuple[bool, bool, float]:
    """Return a sort key that puts the cause first: a killed process, then exceptions by time (the others lose their
    connection to it), then processes that the agent ended.
    """
    file = Path(failure.error_file)
    return failure.exitcode == -signal.SIGTERM, failure.exitcode > 0, file.stat().st_mtime if file.exists() else 0.0


def in_words(failure: ProcessFailure) -> dict[str, str]:
    """Return the exception that the process recorded, or how it ended."""
    if isinstance(failure.message, dict):
        return {"error": failure.message["message"], "traceback": failure.message["extraInfo"]["py_callstack"]}
    cause = f"killed by signal {-failure.exitcode}" if failure.exitcode < 0 else f"exit code {failure.exitcode}"
    hint = " (out of memory?)" if failure.exitcode == -signal.SIGKILL else ""
    return {"error": cause + hint, "traceback": ""}


if __name__ == "__main__":
    main()
