"""Full fine-tuning of a tiny model on the test data."""

import time
from pathlib import Path

import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments

from effcomp.core.errors import Diverged, UserError
from effcomp.finetune.base import TrainingSetup, read_curve
from effcomp.finetune.full import FullFinetune
from effcomp.finetune.rows import training_rows
from effcomp.finetune.trainer import Patience
from effcomp.models.base import load_checkpoint
from effcomp.tasks.base import Examples, Splits
from effcomp.tasks.encoding import encode
from effcomp.tasks.splits import stratified_split
from tests.conftest import DATA, MOVIES, compose_parts, run_effcomp, start_effcomp
from tests.training import train

HEAD = "sequence_classification"


LEARN = ["finetune.epochs=40", "finetune.learning_rate=2e-3", "finetune.batch_size=16"]


def small(tiny_bert: Path) -> list[str]:
    return [f"model.path={tiny_bert}", f"task.data_dir={MOVIES}", "task.test_size=20"]


def test_it_learns_and_leaves_a_checkpoint_and_a_curve(tiny_bert: Path, tmp_path: Path) -> None:
    parts = compose_parts(
        *small(tiny_bert), "finetune.epochs=40", "finetune.learning_rate=2e-3", "finetune.batch_size=16"
    )
    train(parts, HEAD, tmp_path / "checkpoint")
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
        train(compose_parts(*small(tiny_bert), f"seed={seed}", "finetune.epochs=1"), HEAD, tmp_path / str(run))
        weights.append((tmp_path / str(run) / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]


@pytest.mark.parametrize("fixture", ["tiny_bert", "tiny_gpt2"])
def test_a_pair_is_trained_on_as_it_is_tested(fixture: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    model, tokenizer = load_checkpoint(request.getfixturevalue(fixture), HEAD)
    pair = Examples(("a warm film",), (0,), ("it is cold",))
    device = compose_parts("task=xnli").device.resolved()
    setup = TrainingSetup(
        model=model,
        head=HEAD,
        tokenizer=tokenizer,
        examples=pair,
        max_length=16,
        device=device,
        seed=0,
        scratch=tmp_path,
    )
    (row,), tested = training_rows(setup, pair), encode(pair, tokenizer, 16).batch([0])
    assert row["input_ids"] == tested["input_ids"][0].tolist()
    assert row["attention_mask"] == tested["attention_mask"][0].tolist()


def test_more_samples_than_there_are_is_refused(tiny_bert: Path) -> None:
    finetune = compose_parts(*small(tiny_bert), "finetune.train_samples=3").finetune
    test = Examples(("d",), (0,))
    finetune.check_task(Splits(Examples(("a", "b", "c"), (0, 1, 0)), test), "sequence_classification", 64)
    with pytest.raises(UserError, match=r"finetune\.train_samples=3: the task has 2"):
        finetune.check_task(Splits(Examples(("a", "b"), (0, 1)), test), "sequence_classification", 64)


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
    undisturbed = compose_parts(*small(tiny_bert), *long)
    train(undisturbed, HEAD, tmp_path / "undisturbed")
    (resumed,) = (tmp_path / "multirun/store/checkpoint").glob("*/model.safetensors")
    assert resumed.read_bytes() == (tmp_path / "undisturbed/model.safetensors").read_bytes()
    assert not list(unfinished.glob("*")), "nothing is left"


def test_early_stopping_ends_before_the_last_epoch_and_keeps_the_best_weights(tiny_bert: Path, tmp_path: Path) -> None:
    parts = compose_parts(
        *small(tiny_bert),
        "finetune.epochs=200",
        "finetune.learning_rate=5e-3",
        "finetune.checkpoint_steps=5",
        "finetune.patience=2",
        "finetune.validation_share=0.25",
    )
    train(parts, HEAD, tmp_path / "checkpoint")
    curve = read_curve(tmp_path / "checkpoint")
    losses = [row["eval_loss"] for row in curve if "eval_loss" in row]
    assert curve[-1]["epoch"] < 200
    assert min(losses) == losses[-3], "two checkpoints in a row were no better"
    examples = parts.task.load().train
    assert parts.finetune.examples_used(examples) == len(examples) - round(0.25 * len(examples))

    assert isinstance(parts.finetune, FullFinetune)
    _, held_back = stratified_split(examples, parts.finetune.held_back(len(examples)), parts.seed, "")
    model, tokenizer = load_checkpoint(tmp_path / "checkpoint", HEAD)
    with torch.inference_mode():
        encoded = tokenizer(list(held_back.texts), padding=True, return_tensors="pt")
        loss = model.eval()(**encoded, labels=torch.tensor(held_back.labels)).loss
    assert float(loss) == pytest.approx(min(losses), abs=0.02), "bf16 while training, float32 here"


@pytest.mark.parametrize(("losses", "waited"), [([], 0), ([1.0, 0.8, 0.9], 1), ([1.0, 0.8, 0.9, 0.9], 2)])
def test_early_stopping_goes_on_waiting_where_a_training_goes_on(losses: list[float], waited: int) -> None:
    arguments = TrainingArguments("unused", load_best_model_at_end=True, eval_strategy="steps", save_strategy="steps")
    arguments.metric_for_best_model = "eval_loss"
    patience, state, control = Patience(2), TrainerState(), TrainerControl()
    state.log_history = [{"eval_loss": loss} for loss in losses]
    patience.on_train_begin(arguments, state, control)
    assert patience.early_stopping_patience_counter == waited
    assert control.should_training_stop == (waited >= 2)


def test_a_masked_model_is_judged_by_the_same_masks_at_each_look(tiny_bert: Path, tmp_path: Path) -> None:
    settings = ("finetune.learning_rate=1e-12", "finetune.precision=fp32", "finetune.patience=50", "finetune.epochs=4")
    overrides = ("task=wikitext2", f"task.data_dir={DATA}/wikitext2", "finetune.checkpoint_steps=1", *settings)
    train(compose_parts(f"model.path={tiny_bert}", *overrides), "masked_lm", tmp_path / "checkpoint")
    losses = [row["eval_loss"] for row in read_curve(tmp_path / "checkpoint") if "eval_loss" in row]
    assert len(losses) > 1
    assert losses == pytest.approx([losses[0]] * len(losses), abs=1e-5)


def test_a_loss_that_explodes_ends_the_training(tiny_bert: Path, tmp_path: Path) -> None:
    parts = compose_parts(*small(tiny_bert), "finetune.learning_rate=1e6", "finetune.epochs=40")
    with pytest.raises(Diverged, match=r"the training diverged: .* give a smaller finetune\.learning_rate") as raised:
        train(parts, HEAD, tmp_path / "checkpoint")
    assert raised.value.status == "failed", "a sweep logs it as a failed run with its reason"
    assert not list((tmp_path / "checkpoint").iterdir()), "no checkpoint is written"


@pytest.mark.parametrize(("first", "loss"), [(0.7, 700.1), (0.001, 10.1), (0.7, float("nan")), (0.7, float("inf"))])
def test_a_loss_that_is_not_finite_or_a_thousand_times_the_first_has_diverged(first: float, loss: float) -> None:
    from effcomp.finetune.trainer import check_loss

    check_loss(first, 9.9, 10)
    with pytest.raises(Diverged, match="at step 20; give a smaller"):
        check_loss(first, loss, 20)


def test_a_model_that_fails_in_bf16_is_refused_with_the_precision_that_it_takes(
    tiny_bert: Path, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer, XmodConfig, XmodForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    layers = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    words = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id, "max_position_embeddings": 80}
    config = XmodConfig(**layers, **words, languages=["en"], default_language="en")
    XmodForSequenceClassification(config).save_pretrained(tmp_path / "xmod")
    tokenizer.save_pretrained(tmp_path / "xmod")
    with pytest.raises(UserError, match=r"precision=bf16: the model fails in it \(.*; give finetune.precision=fp32"):
        train(compose_parts(*small(tmp_path / "xmod"), "finetune.precision=bf16"), HEAD, tmp_path / "out")


def test_early_stopping_that_never_looks_is_refused(tiny_bert: Path) -> None:
    parts = compose_parts(*small(tiny_bert), "finetune.patience=2", "finetune.checkpoint_steps=500")
    with pytest.raises(UserError, match=r"finetune\.patience=2: the training has \d+ steps .*checkpoint_steps=500"):
        parts.finetune.check_task(parts.task.load(), HEAD, 64)


def test_a_training_of_one_step_with_a_warm_up_is_told_to_learn_nothing(
    tiny_bert: Path, caplog: pytest.LogCaptureFixture
) -> None:
    finetune = compose_parts(*small(tiny_bert), "finetune.epochs=1", "finetune.batch_size=8").finetune
    assert isinstance(finetune, FullFinetune)
    finetune.warn_of_one_step(9)
    assert caplog.text == ""
    finetune.warn_of_one_step(8)
    assert "one step, and the warm-up begins at a learning rate of 0: nothing is learned" in caplog.text
