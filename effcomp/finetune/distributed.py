"""Training in several processes of this machine.

This process writes the model and the examples to a folder. `effcomp.finetune.launch` starts the other processes
(`effcomp.finetune.rank`) with torchrun's agent. The first of them writes the trained checkpoint, which is read here.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from effcomp.core.component import foreign_modules
from effcomp.core.errors import Diverged, UserError
from effcomp.core.process import ProcessFailed, python_path
from effcomp.finetune.base import Finetune, TrainingCurve, TrainingRow, TrainingSetup, read_curve, write_checkpoint
from effcomp.models.base import load_checkpoint

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

START, TRAINED = "start", "trained"
"""Folders of the model before and after training."""
SETUP_FILE = "setup.json"
MASKS_FILE = "masks.safetensors"
FAILURE_FILE = "failure.json"


def train_in_processes(
    finetune: Finetune,
    processes: int,
    setup: TrainingSetup,
    rows: list[TrainingRow],
    held_back: list[TrainingRow] | None,
) -> "tuple[PreTrainedModel, TrainingCurve]":
    """Return the result of `finetune.train_on`, called in this many processes at once.

    Raises:
        ProcessFailed: one of them failed; none is left.
    """
    from safetensors.torch import save_file

    folder = setup.scratch / "processes"
    shutil.rmtree(folder, ignore_errors=True)  # of an interrupted try
    write_checkpoint(setup.model, setup.tokenizer, [], folder / START)
    save_file(setup.masks, folder / MASKS_FILE)
    described = {
        "modules": foreign_modules(finetune),
        "finetune": finetune.spec(),
        "device": setup.device.spec(),
        "head": setup.head,
        "max_length": setup.max_length,
        "seed": setup.seed,
        "default_names": setup.default_names,
        "scratch": str(setup.scratch),
        "first": asdict(setup.examples.take([0])),
        "rows": rows,
        "held_back": held_back,
    }
    (folder / SETUP_FILE).write_text(json.dumps(described))

    log.info("training in %d processes", processes)
    threads = max(1, len(os.sched_getaffinity(0)) // processes)
    environment = {"OMP_NUM_THREADS": str(threads), "GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
    with subprocess.Popen(
        [sys.executable, "-m", "effcomp.finetune.launch", str(folder), str(processes)],
        stdin=subprocess.PIPE,  # they end when it closes, however this process ends
        stdout=sys.__stderr__,
        env=environment | os.environ | {"PYTHONPATH": python_path()},
        start_new_session=True,  # an interrupt from the terminal is for this process alone
    ) as launcher:
        code = launcher.wait()
    if (folder / FAILURE_FILE).exists():
        raise failed(json.loads((folder / FAILURE_FILE).read_text()), processes)
    if code != 0:
        raise ProcessFailed(f"torchrun's agent, which had started {processes} processes, ended with exit code {code}")
    return load_checkpoint(folder / TRAINED, setup.head)[0], read_curve(folder / TRAINED)


def failed(failure: dict[str, Any], processes: int) -> Exception:
    """Return the exception of a process that failed: a user's fault as it is, others with their first line.

    Args:
        failure: rank, error and traceback, as `effcomp.finetune.launch` writes them.
    """
    kind, _, message = failure["error"].partition(": ")
    for known in (UserError, Diverged):
        if kind == known.__name__:
            return known(message)
    reason = failure["error"].strip().partition("\n")[0]
    return ProcessFailed(f"rank {failure['rank']} of {processes} failed: {reason}", failure["traceback"])
