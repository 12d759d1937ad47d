"""Pruning in steps with recovery in between, and what is refused before any work."""

from pathlib import Path

import pytest
import torch

from effcomp.core.errors import Diverged, UserError
from effcomp.finetune.base import read_curve
from effcomp.models.base import load_checkpoint
from effcomp.models.heads import Head
from effcomp.pipeline.checks import check
from effcomp.prune.base import Pruner
from effcomp.prune.sparse import matrices
from tests.conftest import MOVIES, compose_parts, run_effcomp
from tests.training import new_setup, train

HEAD: Head = "sequence_classification"
LEARN = {"epochs": "15", "learning_rate": "2e-3", "batch_size": "16"}


@pytest.fixture(scope="module")
def small(tiny_bert: Path) -> list[str]:
    return [f"model.path={tiny_bert}", f"task.data_dir={MOVIES}", "task.test_size=20"]


@pytest.fixture(scope="module")
def trained(small: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "checkpoint"
    train(compose_parts(*small, *(f"finetune.{name}={value}" for name, value in LEARN.items())), HEAD, folder)
    return folder


def prune(trained: Path, folder: Path, *settings: str) -> Path:
    """The trained model pruned into a new folder."""
    parts = compose_parts(f"model.path={trained}", f"task.data_dir={MOVIES}", "task.test_size=20", *settings)
    assert isinstance(parts.prune, Pruner)
    folder.mkdir()
    parts.prune.write(new_setup(parts, HEAD, folder), trained, folder)
    return folder


def loss(folder: Path) -> float:
    """On the training examples."""
    model, tokenizer = load_checkpoint(folder, HEAD)
    examples = compose_parts(f"task.data_dir={MOVIES}", "task.test_size=20").task.load().train
    with torch.inference_mode():
        encoded = tokenizer(list(examples.texts), padding=True, return_tensors="pt")
        return float(model.eval()(**encoded, labels=torch.tensor(examples.labels)).loss)


def share_of_zeros(folder: Path) -> float:
    model, _ = load_checkpoint(folder, HEAD)
    weights = torch.cat([layer.weight.detach().flatten() for layer in matrices(model).values()])
    return float((weights == 0).float().mean())


RECOVERY = [f"prune.recovery.{name}={value}" for name, value in LEARN.items()]


@pytest.mark.parametrize(
    ("choice", "recovery"),
    [("l1_unstructured", "distill"), ("structured", "full"), ("structured", "lora")],
)
def test_recovery_lowers_the_loss(choice: str, recovery: str, trained: Path, tmp_path: Path) -> None:
    settings = [f"prune={choice}", "prune.ratio=0.74"]
    alone = prune(trained, tmp_path / "alone", *settings)
    recovered = prune(trained, tmp_path / "recovered", *settings, f"finetune@prune.recovery={recovery}", *RECOVERY)
    assert loss(recovered) < loss(alone)
    assert read_curve(alone) == []
    if choice == "l1_unstructured":
        assert share_of_zeros(recovered) == pytest.approx(0.74, abs=0.001)


def test_a_recovery_that_diverges_names_its_own_setting(trained: Path, tmp_path: Path) -> None:
    faults = ("finetune@prune.recovery=full", "prune.recovery.learning_rate=1e6", "prune.recovery.epochs=40")
    with pytest.raises(Diverged, match=r"give a smaller prune\.recovery\.learning_rate"):
        prune(trained, tmp_path / "pruned", "prune=l1_unstructured", *faults)


def test_steps_take_the_share_of_the_cubic_schedule_and_end_at_the_ratio(trained: Path, tmp_path: Path) -> None:
    settings = ["prune=l1_unstructured", "prune.ratio=0.8", "prune.steps=2"]
    parts = compose_parts(*settings)
    assert isinstance(parts.prune, Pruner)
    assert parts.prune.ratios == pytest.approx([0.7, 0.8])
    recovery = ["finetune@prune.recovery=full", "prune.recovery.epochs=1"]
    folder = prune(trained, tmp_path / "pruned", *settings, *recovery)
    assert share_of_zeros(folder) == pytest.approx(0.8, abs=0.001)
    curve = read_curve(folder)
    assert {row["prune_step"] for row in curve} == {1, 2}
    steps = [row["step"] for row in curve]
    assert steps == sorted(set(steps)), "the second recovery goes on counting where the first one ended"


def test_a_structured_model_shrinks_step_by_step(trained: Path, tmp_path: Path) -> None:
    recovery = ["finetune@prune.recovery=distill", "prune.recovery.epochs=1"]
    folder = prune(trained, tmp_path / "pruned", "prune=structured", "prune.steps=3", *recovery)
    model, _ = load_checkpoint(folder, HEAD)
    assert model.config.kept == [[1, 64], [1, 64]]


def test_the_key_of_a_recovery_is_in_the_key_of_the_pruning() -> None:
    full = "finetune@prune.recovery=full"
    keys = [
        compose_parts("prune=l1_unstructured", *settings).prune.key()
        for settings in ([], [full], [full, "prune.recovery.epochs=3"])
    ]
    assert keys[0] != keys[1] != keys[2]


def test_a_pruned_folder_is_a_model_that_can_be_fine_tuned(trained: Path, tmp_path: Path) -> None:
    folder = prune(trained, tmp_path / "pruned", "prune=structured")
    parts = compose_parts(
        f"model.path={folder}", f"task.data_dir={MOVIES}", "task.test_size=20", "finetune=lora", "finetune.epochs=1"
    )
    train(parts, HEAD, tmp_path / "trained")
    model, _ = load_checkpoint(tmp_path / "trained", HEAD)
    assert model.config.kept == [[1, 64], [1, 64]]
    assert model.bert.encoder.layer[0].output.dense.weight.shape == (64, 64)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (
            ["prune=l1_unstructured", "finetune@prune.recovery=lora"],
            "finetune@prune.recovery=lora adds matrices without zeros to those of prune=l1_unstructured",
        ),
        (
            ["prune=structured", "finetune@prune.recovery=distill", "prune.recovery.teacher=/nowhere"],
            "prune.recovery.teacher=/nowhere has no config.json",
        ),
        (
            ["model=distilbert", "model.weights=random", "prune=structured"],
            "prune.importance=taylor needs a trained model",
        ),
        (
            ["model=distilbert", "model.weights=random", "prune=semi_structured_2_4", "finetune@prune.recovery=full"],
            "finetune@prune.recovery=full has nothing to recover with model.weights=random",
        ),
    ],
)
def test_what_cannot_work_is_refused_at_once(settings: list[str], reason: str, small: list[str]) -> None:
    model = [] if any("random" in setting for setting in settings) else small
    with pytest.raises(UserError) as refused:
        check(compose_parts(*model, f"task.data_dir={MOVIES}", *settings))
    assert str(refused.value).startswith(reason)


def test_too_many_samples_for_the_recovery_are_refused_by_the_name_that_is_typed(small: list[str]) -> None:
    recovery = ["finetune@prune.recovery=full", "prune.recovery.train_samples=1000"]
    parts = compose_parts(*small, "prune=l1_unstructured", *recovery)
    with pytest.raises(UserError, match=r"^prune\.recovery\.train_samples=1000: the task has"):
        parts.prune.check_task(parts.task.load(), "sequence_classification", 64)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (["prune.ratio=0.9"], "error: prune.ratio=0.9 leaves a layer with no head: each of the 2 layers has 2 heads"),
        (["prune.steps=0"], "error: prune.steps=0: input should be greater than or equal to 1"),
        (["prune.recovery.epochs=0", "finetune@prune.recovery=full"], "error: prune.recovery.epochs=0: input should"),
    ],
)
def test_the_command_refuses_in_one_line(settings: list[str], reason: str, tiny: list[str], tmp_path: Path) -> None:
    ran = run_effcomp(*tiny, "tracking=none", "prune=structured", *settings, cwd=tmp_path)
    assert (ran.code, ran.stdout) == (2, "")
    assert ran.stderr.splitlines()[-1].startswith(reason), ran.stderr
    assert not list(tmp_path.glob("multirun/store/checkpoint"))


def test_an_architecture_that_is_not_known_is_refused_before_any_work(
    tiny: list[str], tiny_bert: Path, tmp_path: Path
) -> None:
    from transformers import AlbertConfig, AlbertModel, AutoTokenizer

    shape = {"hidden_size": 64, "embedding_size": 16, "intermediate_size": 64, "num_attention_heads": 2}
    AlbertModel(AlbertConfig(**shape)).save_pretrained(tmp_path / "albert")
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(tmp_path / "albert")
    settings = [*tiny, f"model.path={tmp_path / 'albert'}", "tracking=none", "prune=structured"]
    ran = run_effcomp(*settings, cwd=tmp_path)
    assert (ran.code, ran.stdout) == (2, "")
    assert "prune=structured does not know the architecture albert; it knows: bert, distilbert" in ran.stderr
