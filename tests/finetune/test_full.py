"""Full fine-tuning of a tiny model on the test data."""

import time
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from effcomp.compose import Parts, build
from effcomp.errors import UserError
from effcomp.finetune.base import Job, read_curve
from effcomp.models.base import load_checkpoint
from effcomp.store import Store
from effcomp.tasks.base import Examples
from tests.conftest import MOVIES, ROOT, run_effcomp, start_effcomp

HEAD = "sequence_classification"


def parts_for(tiny_bert: Path, *overrides: str) -> Parts:
    small = [f"model.path={tiny_bert}", f"task.data_dir={MOVIES}", "task.test_size=20", *overrides]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return build(compose("config", overrides=small))


def train(parts: Parts, folder: Path) -> None:
    folder.mkdir()
    splits = parts.task.load()
    store = Store(folder.parent / "store")
    model = parts.model.build(HEAD, splits.label_names, parts.seed, store, as_it_is=False)
    job = Job(
        model,
        HEAD,
        parts.model.tokenizer(store),
        splits.train,
        64,
        parts.device.resolved(),
        parts.seed,
        folder.parent / f"scratch {folder.name}",
    )
    parts.finetune.write(job, folder)


def test_it_learns_and_leaves_a_checkpoint_and_a_curve(tiny_bert: Path, tmp_path: Path) -> None:
    parts = parts_for(tiny_bert, "finetune.epochs=40", "finetune.learning_rate=2e-3", "finetune.batch_size=16")
    train(parts, tmp_path / "checkpoint")
    model, tokenizer = load_checkpoint(tmp_path / "checkpoint", HEAD)
    test = parts.task.load().test
    with torch.inference_mode():
        logits = model.eval()(**tokenizer(list(test.texts), padding=True, return_tensors="pt")).logits
    right = (logits.argmax(dim=1) == torch.tensor(test.labels)).float().mean()
    assert right > 0.9, "half of the words of each sentence tell its label"
    curve = read_curve(tmp_path / "checkpoint")
    assert curve[-1]["loss"] < curve[0]["loss"]


def test_the_same_seed_gives_the_same_weights(tiny_bert: Path, tmp_path: Path) -> None:
    weights = []
    for run, seed in enumerate([0, 0, 1]):
        train(parts_for(tiny_bert, f"seed={seed}", "finetune.epochs=1"), tmp_path / str(run))
        weights.append((tmp_path / str(run) / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]


def test_more_samples_than_there_are_is_refused(tiny_bert: Path) -> None:
    finetune = parts_for(tiny_bert, "finetune.train_samples=3").finetune
    finetune.check(Examples(("a", "b", "c"), (0, 1, 0)))
    with pytest.raises(UserError, match=r"finetune\.train_samples=3: the task has 2"):
        finetune.check(Examples(("a", "b"), (0, 1)))


def test_an_interrupted_training_goes_on_and_ends_with_the_same_weights(
    tiny_bert: Path, tiny: list[str], tmp_path: Path
) -> None:
    long = [*tiny, "tracking=none", "finetune.epochs=40", "finetune.batch_size=8", "finetune.checkpoint_steps=50"]
    killed = start_effcomp(*long, cwd=tmp_path)
    unfinished = tmp_path / "multirun/store/unfinished/checkpoint"
    deadline = time.monotonic() + 120
    while not list(unfinished.glob("*/checkpoint-*/trainer_state.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.kill()
    killed.wait()
    assert list(unfinished.glob("*/checkpoint-*")), "it was killed before its end"

    went_on = run_effcomp(*long, cwd=tmp_path)
    assert "going on from" in went_on.stderr, went_on.stderr
    assert went_on.code == 0
    undisturbed = parts_for(tiny_bert, *long)
    train(undisturbed, tmp_path / "undisturbed")
    (resumed,) = (tmp_path / "multirun/store/checkpoint").glob("*/model.safetensors")
    assert resumed.read_bytes() == (tmp_path / "undisturbed/model.safetensors").read_bytes()
    assert not list(unfinished.glob("*")), "nothing is left"


def test_lora_learns_and_leaves_a_plain_model(tiny_bert: Path, tmp_path: Path) -> None:
    parts = parts_for(
        tiny_bert, "finetune=lora", "finetune.epochs=40", "finetune.learning_rate=5e-3", "finetune.batch_size=16"
    )
    train(parts, tmp_path / "checkpoint")
    model, _ = load_checkpoint(tmp_path / "checkpoint", HEAD)
    before = parts.model.build(HEAD, ("negative", "positive"), 0, Store(tmp_path / "store"), as_it_is=False)
    assert {name for name, _ in model.named_parameters()} == {name for name, _ in before.named_parameters()}
    assert torch.equal(model.bert.embeddings.word_embeddings.weight, before.bert.embeddings.word_embeddings.weight), (
        "only the linear layers have adapters"
    )
    curve = read_curve(tmp_path / "checkpoint")
    assert curve[-1]["loss"] < 0.5 * curve[0]["loss"]
