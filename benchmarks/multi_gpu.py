"""Measure the speed-up of fine-tuning by a second GPU, and any change of what is learned.

    python benchmarks/multi_gpu.py [FOLDER]     (on a machine with two GPUs; needs no network)

FOLDER: MiniLM as save_pretrained writes it, where the package that carries it is not installed.

Learned: MiniLM (as installed, but without dropout, which each process draws for itself) is trained for an epoch in
float32 by one process and by two, and their losses and weights are compared. Speed: DistilBERT's shape with random
weights in bf16, texts of 128 tokens; samples/s without imports and the start of processes, from a short and a long
training. Writes multi_gpu.json beside this file, and prints it.
"""

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

from effcomp.core import machine
from effcomp.core.store import Store
from effcomp.finetune.base import TrainingSetup
from effcomp.pipeline.checks import check
from effcomp.pipeline.compose import Components, build
from effcomp.tasks.base import Examples

ROOT = Path(__file__).resolve().parent.parent
DEVICE = "cuda"
MINILM = ["model=minilm", *(f"model.path={folder}" for folder in sys.argv[1:])]
PROCESSES = (1, 2)
BATCH_SIZES = (64, 512)
EPOCHS = (1, 1, 16)
"""The first training loads libraries and is not counted."""
JOINED = 8
"""Sentences to a text, so that each fills its 128 tokens."""


def parts_of(*overrides: str) -> Components:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        parts = build(compose("config", overrides=[f"device={DEVICE}", "tracking=none", *overrides]))
    check(parts)
    return parts


def train(examples: Examples, folder: Path, *overrides: str) -> tuple[Any, list[dict[str, Any]]]:
    """The trained model and its curve. The tokenizer is MiniLM's, which has the words of DistilBERT's."""
    parts, store, head = parts_of(*overrides), Store(folder / "store"), "sequence_classification"
    model = parts.model.build(head, ("negative", "positive"), parts.seed, store, as_it_is=False)
    tokenizer = parts_of(*MINILM).model.tokenizer(store)
    setup = TrainingSetup(
        model=model,
        head=head,
        tokenizer=tokenizer,
        examples=examples,
        max_length=128,
        device=parts.device.resolved(),
        seed=parts.seed,
        scratch=folder / "scratch",
    )
    trained = parts.finetune.train(setup)
    shutil.rmtree(setup.scratch)
    return trained


def learned(examples: Examples, folder: Path) -> dict[str, Any]:
    source = parts_of(*MINILM).model.folder(Store(folder / "store"))
    assert source is not None, "it is installed"
    shutil.copytree(source, folder / "model")
    config = json.loads((source / "config.json").read_text())
    still = config | {name: 0.0 for name in config if name.endswith("_dropout_prob")}
    (folder / "model/config.json").write_text(json.dumps(still))
    fields = [f"model.path={folder / 'model'}", "finetune.precision=fp32", "finetune.epochs=1"]
    (one, curve), (two, other) = (train(examples, folder, *fields, f"finetune.processes={n}") for n in PROCESSES)
    weights = two.state_dict()
    differences = {name: float((weight - weights[name]).abs().max()) for name, weight in one.state_dict().items()}
    return {
        "last_loss": [curve[-1]["loss"], other[-1]["loss"]],
        "largest_difference_of_a_loss": max(abs(a["loss"] - b["loss"]) for a, b in zip(curve, other, strict=True)),
        "largest_difference_of_a_weight": max(differences.items(), key=lambda item: item[1]),
    }


def speed(processes: int, batch_size: int, examples: Examples, folder: Path) -> dict[str, Any]:
    fields = ["model=distilbert", "model.weights=random", "finetune.precision=bf16"]
    fields += [f"finetune.processes={processes}", f"finetune.batch_size={batch_size}"]
    seconds = []
    for epochs in EPOCHS:
        start = time.perf_counter()
        _, curve = train(examples, folder, *fields, f"finetune.epochs={epochs}")
        seconds.append(time.perf_counter() - start)
    rate = (EPOCHS[2] - EPOCHS[1]) * len(examples) / (seconds[2] - seconds[1])
    row = {"processes": processes, "batch_size": batch_size, "samples_per_s": rate, "last_loss": curve[-1]["loss"]}
    print(row, f"{seconds=}", file=sys.stderr)
    return row


def main() -> None:
    short = parts_of(*MINILM).task.load().train
    texts = tuple(" ".join(short.texts[i : i + JOINED]) for i in range(len(short) - JOINED))
    long = Examples(texts, short.labels[:-JOINED])
    with tempfile.TemporaryDirectory() as folder:
        result = {
            "command": "python benchmarks/multi_gpu.py",
            "device": machine.device_name(parts_of(*MINILM).device.resolved()),
            "libraries": machine.library_versions(),
            "learned_by_one_and_by_two": learned(short, Path(folder)),
            "speed": [speed(n, size, long, Path(folder)) for size in BATCH_SIZES for n in PROCESSES],
        }
    print(json.dumps(result, indent=1))
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
