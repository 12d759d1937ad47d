"""Training in several processes: the steps of one, and none left behind. On the CPU, where gloo connects them."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from itertools import chain
from pathlib import Path

import psutil
import pytest
import torch

from effcomp.core.device import Device
from effcomp.core.errors import Diverged, UserError
from effcomp.core.process import ProcessFailed
from effcomp.finetune.base import NoFinetune, TrainingSetup, read_curve
from effcomp.finetune.distributed import failed, train_in_processes
from effcomp.finetune.sampler import LengthGrouped, Share
from effcomp.models.base import load_checkpoint
from effcomp.models.heads import Head
from effcomp.pipeline.checks import check
from tests.conftest import DATA, MOVIES, ROOT, compose_parts
from tests.training import new_setup, train

UNEVEN = ["finetune.batch_size=6", "finetune.gradient_accumulation=2", "finetune.precision=fp32"]
"""With 37 examples, and with 13 blocks, the last batch has one: a process has none of it."""


def without_dropout(folder: Path, copy: Path) -> Path:
    """Model that draws nothing in training: processes can differ in the order of sums alone."""
    shutil.copytree(folder, copy)
    config = json.loads((copy / "config.json").read_text())
    changed = {name: 0.0 for name in config if name.endswith(("_dropout", "_dropout_prob", "_pdrop"))}
    (copy / "config.json").write_text(json.dumps(config | changed))
    return copy


def assert_same_training(one: Path, two: Path, head: Head) -> None:
    """Assert equal weights at the end and equal losses on the way, but for the order in which floats are added.

    A key's bias changes no attention: its gradient is rounding alone, which Adam makes as large as any other.
    """
    weights, others = (load_checkpoint(folder, head)[0].state_dict() for folder in (one, two))
    for name in weights:
        if not name.endswith("key.bias"):
            torch.testing.assert_close(others[name], weights[name], rtol=1e-4, atol=1e-4, msg=name)
    for row, other in zip(read_curve(one), read_curve(two), strict=True):
        for name in row.keys() & {"step", "loss", "eval_loss", "grad_norm", "learning_rate"}:
            assert other[name] == pytest.approx(row[name], rel=1e-3), (name, row, other)


def test_the_shares_of_a_batch_are_the_batch() -> None:
    lengths = [5, 3, 9, 1, 7, 2, 8, 4, 6, 5, 3, 2, 1]

    def batches(process: int, processes: int) -> list[list[int]]:
        return list(Share(LengthGrouped(lengths, 6, seed=0), 6, process, processes))

    for whole, *shares in zip(batches(0, 1), *(batches(process, 3) for process in range(3)), strict=True):
        assert sorted(chain(*shares)) == sorted(whole)
        assert len(whole) < 6 or [len(share) for share in shares] == [2, 2, 2]


def test_a_killed_classifier_leaves_no_process_and_goes_on_to_where_one_process_ends(
    tiny_bert: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    overrides = [
        f"model.path={without_dropout(tiny_bert, tmp_path / 'model')}",
        *(f"task.data_dir={MOVIES}", "task.test_size=20", *UNEVEN),
        *("finetune.epochs=20", "finetune.learning_rate=1e-3", "finetune.checkpoint_steps=10"),
        *("finetune.patience=50", "finetune.validation_share=0.12"),
    ]
    head: Head = "sequence_classification"
    train(compose_parts(*overrides), head, tmp_path / "one")

    two = [*overrides, "finetune.processes=2"]
    call = f"train(compose_parts(*{two}), {head!r}, Path({str(tmp_path / 'two')!r}))"
    imports = "from pathlib import Path; from tests.conftest import compose_parts; from tests.training import train"
    command = [sys.executable, "-c", f"{imports}; {call}"]
    parent = subprocess.Popen(command, cwd=ROOT)
    while parent.poll() is None and not list(tmp_path.glob("scratch two/checkpoint-*/trainer_state.json")):
        time.sleep(0.02)
    family = psutil.Process(parent.pid).children(recursive=True)
    parent.kill()
    parent.wait()
    assert len(family) == 3, "torchrun's agent, and two"
    assert not psutil.wait_procs(family, timeout=20)[1], "they end with it"

    (tmp_path / "two").rmdir()
    train(compose_parts(*two), head, tmp_path / "two")
    assert "going on from" in capfd.readouterr().err
    assert_same_training(tmp_path / "one", tmp_path / "two", head)


def test_a_language_model_that_is_taught_ends_where_one_process_ends(tiny_gpt2: Path, tmp_path: Path) -> None:
    model = without_dropout(tiny_gpt2, tmp_path / "model")
    overrides = ["model=gpt2", f"model.path={model}", "task=wikitext2", f"task.data_dir={DATA / 'wikitext2'}", *UNEVEN]
    overrides += ["finetune=distill", f"finetune.teacher={tiny_gpt2}"]
    for name, processes in (("one", 1), ("two", 2)):
        train(compose_parts(*overrides, f"finetune.processes={processes}"), "causal_lm", tmp_path / name)
    assert_same_training(tmp_path / "one", tmp_path / "two", "causal_lm")


def ranks(setup: TrainingSetup) -> dict[str, psutil.Process]:
    """The processes of this training that are there, by their rank."""
    command = ["effcomp.finetune.rank", str(setup.scratch / "processes")]
    return {
        process.info["environ"]["RANK"]: process
        for process in psutil.process_iter(["cmdline", "environ"])
        if (process.info["cmdline"] or [])[-2:] == command
    }


@pytest.fixture
def setup(tiny_bert: Path, tmp_path: Path) -> TrainingSetup:
    parts = compose_parts(f"model.path={tiny_bert}", f"task.data_dir={MOVIES}", "task.test_size=20")
    return new_setup(parts, "sequence_classification", tmp_path / "checkpoint")


def test_a_process_that_fails_ends_the_training_with_its_own_words(setup: TrainingSetup) -> None:
    with pytest.raises(ProcessFailed, match=r"rank \d of 2 failed: ValueError: finetune/none is no FullFinetune"):
        train_in_processes(NoFinetune(name="none"), 2, setup, [], None)
    assert not ranks(setup)


def test_a_process_whose_training_diverges_tells_it_as_one_process_does() -> None:
    failure = {"rank": 1, "error": "Diverged: the training diverged", "traceback": "Traceback ..."}
    assert isinstance(failed(failure, 2), Diverged)
    assert str(failed(failure | {"error": "OSError: a\nb"}, 2)) == "rank 1 of 2 failed: OSError: a"


def test_a_process_that_is_killed_is_named(setup: TrainingSetup) -> None:
    def kill() -> None:
        while "1" not in (found := ranks(setup)):
            time.sleep(0.02)
        found["1"].send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(ProcessFailed, match=r"rank 1 of 2 failed: killed by signal 9 \(out of memory\?\)"):
        train_in_processes(compose_parts().finetune, 2, setup, [], None)
    killer.join()
    assert not ranks(setup)


def test_what_cannot_be_shared_is_refused(tiny_bert: Path) -> None:
    with pytest.raises(UserError, match=r"finetune\.batch_size=32 cannot be shared equally by finetune\.processes=3"):
        check(compose_parts(f"model.path={tiny_bert}", "finetune.processes=3"))
    recovery = ["prune=structured", "finetune@prune.recovery=distill", "prune.recovery.processes=5"]
    with pytest.raises(UserError, match=r"prune\.recovery\.batch_size=32 .* prune\.recovery\.processes=5"):
        check(compose_parts(f"model.path={tiny_bert}", *recovery))
    gpus = torch.cuda.device_count()
    parts = compose_parts(f"finetune.processes={gpus + 2}", f"finetune.batch_size={gpus + 2}")
    with pytest.raises(UserError, match=rf"finetune\.processes={gpus + 2}: there are {gpus} CUDA devices"):
        parts.finetune.check_device(Device(name="cuda", kind="cuda", threads=1))
