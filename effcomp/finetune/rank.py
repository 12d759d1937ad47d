"""python -m effcomp.finetune.rank FOLDER: one process of a training in several, started by torchrun's agent."""

import json
import logging
import os
import sys
import threading
from importlib import import_module
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.distributed.elastic.multiprocessing.errors import get_error_handler

from effcomp.core.component import from_spec
from effcomp.core.device import Device
from effcomp.finetune.base import TrainingSetup, write_checkpoint
from effcomp.finetune.distributed import MASKS_FILE, SETUP_FILE, START, TRAINED
from effcomp.finetune.full import FullFinetune
from effcomp.models.base import load_checkpoint
from effcomp.tasks.base import Examples


def main() -> None:
    threading.Thread(target=end_with_parent, daemon=True).start()
    first = os.environ["RANK"] == "0"
    logging.basicConfig(level=logging.ERROR, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("effcomp").setLevel(logging.INFO if first else logging.ERROR)
    try:
        train(Path(sys.argv[1]), first)
    except Exception as error:
        get_error_handler().record_exception(error)
        os._exit(1)  # a usual end would wait for the others


def end_with_parent() -> None:
    """Exit when standard input closes: it is a pipe held by the run's own process alone, and closes when that ends."""
    os.read(0, 1)
    os._exit(1)


def train(folder: Path, first: bool) -> None:
    """Take part in the training that `distributed.train_in_processes` described; the first process writes the
    checkpoint."""
    given = json.loads((folder / SETUP_FILE).read_text())
    for module in given["modules"]:
        import_module(module)
    finetune = from_spec(given["finetune"], FullFinetune)
    model, tokenizer = load_checkpoint(folder / START, given["head"])
    setup = TrainingSetup(
        model=model,
        head=given["head"],
        tokenizer=tokenizer,
        examples=Examples(**{name: tuple(column) for name, column in given["first"].items()}),  # a teacher answers it
        max_length=given["max_length"],
        device=from_spec(given["device"], Device),
        seed=given["seed"],
        default_names=tuple(given["default_names"]),
        scratch=Path(given["scratch"]),
        masks=load_file(folder / MASKS_FILE),
    )
    trained, curve = finetune.train_on(setup, given["rows"], given["held_back"])
    if first:
        write_checkpoint(trained, tokenizer, curve, folder / TRAINED)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
