"""Distillation: what the teacher knows reaches a student that is given no labels."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, BatchEncoding, PreTrainedModel

from effcomp.core.errors import UserError
from effcomp.core.store import Store
from effcomp.finetune.base import read_curve
from effcomp.finetune.hidden_states import nearest_loss
from effcomp.models.base import load_checkpoint
from effcomp.models.depth import keep_layers
from effcomp.models.vocabulary import complete, keep_tokens, without_tokens
from effcomp.pipeline.checks import check
from tests.conftest import DATA, MOVIES, compose_parts
from tests.training import new_setup, train

HEAD = "sequence_classification"
LEARN = ["finetune.epochs=40", "finetune.learning_rate=2e-3", "finetune.batch_size=16"]


@pytest.fixture(scope="module")
def small(tiny_bert: Path) -> list[str]:
    return [f"model.path={tiny_bert}", f"task.data_dir={MOVIES}", "task.test_size=20"]


@pytest.fixture(scope="module")
def teacher(small: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained on the test data with its two labels exchanged: right by nobody's labels but its own."""
    folder = tmp_path_factory.mktemp("teacher")
    train(compose_parts(*small, *LEARN), HEAD, folder / "checkpoint")
    model, tokenizer = load_checkpoint(folder / "checkpoint", HEAD)
    with torch.no_grad():
        model.classifier.weight.copy_(model.classifier.weight.flip(0))
        model.classifier.bias.copy_(model.classifier.bias.flip(0))
    model.save_pretrained(folder / "exchanged")
    tokenizer.save_pretrained(folder / "exchanged")
    return folder / "exchanged"


def distilled(small: list[str], teacher: Path, share: float, folder: Path) -> float:
    """The accuracy on the test examples, by the true labels, of a student of this teacher."""
    parts = compose_parts(
        *small, "finetune=distill", f"finetune.teacher={teacher}", f"finetune.teacher_share={share}", "seed=1", *LEARN
    )
    train(parts, HEAD, folder)
    model, tokenizer = load_checkpoint(folder, HEAD)
    test = parts.task.load().test
    with torch.inference_mode():
        logits = model.eval()(**tokenizer(list(test.texts), padding=True, return_tensors="pt")).logits
    return float((logits.argmax(dim=1) == torch.tensor(test.labels)).float().mean())


def test_the_student_follows_the_teacher_as_far_as_its_share(small: list[str], teacher: Path, tmp_path: Path) -> None:
    assert distilled(small, teacher, 1.0, tmp_path / "teacher alone") < 0.2
    assert distilled(small, teacher, 0.01, tmp_path / "labels above all") > 0.8


@pytest.mark.parametrize("name", ["full", "distill"])
def test_accumulated_batches_have_the_gradient_of_one_batch(
    name: str, small: list[str], teacher: Path, tmp_path: Path
) -> None:
    norms = []
    for batch_size, accumulated in ((16, 1), (4, 4)):
        overrides = [f"finetune={name}", "finetune.train_samples=16", "finetune.epochs=1", "finetune.precision=fp32"]
        overrides += [f"finetune.batch_size={batch_size}", f"finetune.gradient_accumulation={accumulated}"]
        overrides += [f"finetune.teacher={teacher}"] if name == "distill" else []
        train(compose_parts(*small, *overrides), HEAD, tmp_path / f"{name} {accumulated}")
        norms.append(read_curve(tmp_path / f"{name} {accumulated}")[0]["grad_norm"])
    assert norms[0] == pytest.approx(norms[1], rel=0.5), "dropout alone tells them apart"


def test_the_teacher_counts_by_its_content_and_not_by_its_place(teacher: Path, tmp_path: Path) -> None:
    model, tokenizer = load_checkpoint(teacher, HEAD)

    def key(name: str) -> dict[str, Any]:
        model.save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
        return compose_parts("finetune=distill", f"finetune.teacher={tmp_path / name}").finetune.key()

    first, second = key("first"), key("second")
    with torch.no_grad():
        model.classifier.bias.add_(1)
    assert first == second
    assert key("third") != first


@pytest.mark.parametrize(("model", "fixture"), [("gpt2", "tiny_gpt2"), ("minilm", "tiny_bert")])
def test_a_language_model_is_taught_token_by_token(
    model: str, fixture: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    small = [
        f"model={model}",
        f"model.path={request.getfixturevalue(fixture)}",
        "task=wikitext2",
        f"task.data_dir={DATA / 'wikitext2'}",
        "task.max_length=32",
    ]
    head = "causal_lm" if model == "gpt2" else "masked_lm"
    train(compose_parts(*small, *LEARN), head, tmp_path / "teacher")
    teacher, _ = load_checkpoint(tmp_path / "teacher", head)
    teacher.resize_token_embeddings(teacher.config.vocab_size + 8)  # as a larger model of a family may have
    teacher.save_pretrained(tmp_path / "teacher")
    taught = compose_parts(
        *small, "finetune=distill", f"finetune.teacher={tmp_path / 'teacher'}", "finetune.teacher_share=1.0", *LEARN
    )
    train(taught, head, tmp_path / "student")
    curve = read_curve(tmp_path / "student")
    assert curve[-1]["loss"] < 0.5 * curve[0]["loss"], "with the teacher alone the loss is a divergence: it goes to 0"


def test_a_teacher_that_cannot_teach_is_refused(small: list[str], tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"finetune\.teacher is missing: give the folder"):
        check(compose_parts(*small, "finetune=distill"))
    with pytest.raises(UserError, match=r"finetune\.teacher=/nowhere has no config\.json"):
        check(compose_parts(*small, "finetune=distill", "finetune.teacher=/nowhere"))
    wrong = compose_parts(*small, "finetune=distill", f"finetune.teacher={tiny_bert}")
    with pytest.raises(
        UserError, match=r"teacher=.* no weights for classifier\.bias.*trains it \(finetune=none, or a teacher\)"
    ):
        wrong.finetune.check_task(wrong.task.load(), HEAD, 64)


def test_a_teacher_is_checked_as_the_model_is(small: list[str], tmp_path: Path) -> None:
    train(compose_parts(*small, *LEARN), HEAD, tmp_path / "teacher")
    taught = compose_parts(*small, "finetune=distill", f"finetune.teacher={tmp_path / 'teacher'}")
    splits = taught.task.load()
    taught.finetune.check_task(splits, HEAD, 128)
    with pytest.raises(UserError, match=r"task\.max_length=129: finetune\.teacher=.* reads at most 128 tokens"):
        taught.finetune.check_task(splits, HEAD, 129)
    with pytest.raises(UserError, match="its labels are negative, positive, those of the task bad, good"):
        taught.finetune.check_task(replace(splits, label_names=("bad", "good")), HEAD, 128)


@pytest.mark.parametrize(
    ("fails", "words"),
    [
        (True, r"fails in transformers \(.+\); give a model that answers there"),
        (False, "answers with NaN or infinity; give a teacher that works in float32"),
    ],
)
def test_a_teacher_that_fails_or_gives_nan_is_refused(
    fails: bool, words: str, small: list[str], teacher: Path, tmp_path: Path
) -> None:
    model, tokenizer = load_checkpoint(teacher, HEAD)
    if fails:  # no sentence has a type
        model.config.type_vocab_size = 0
        model.bert.embeddings.token_type_embeddings = torch.nn.Embedding(0, model.config.hidden_size)
    else:
        model.classifier.weight.data *= 1e38
    model.save_pretrained(tmp_path / "failing")
    tokenizer.save_pretrained(tmp_path / "failing")
    with pytest.raises(UserError, match=rf"finetune\.teacher={tmp_path}/failing {words}"):
        distilled(small, tmp_path / "failing", 1.0, tmp_path / "student")


@pytest.mark.parametrize("lost", [(), (0,)])
def test_hidden_states_follow_those_of_the_teacher(
    lost: tuple[int, ...], small: list[str], teacher: Path, tmp_path: Path
) -> None:
    parts = compose_parts(
        *small, "finetune=distill", f"finetune.teacher={teacher}", "finetune.hidden_loss=5.0", "seed=1", *LEARN
    )
    setup = new_setup(parts, HEAD, tmp_path / "student")
    keep_layers(setup.model, [index for index in range(2) if index not in lost])
    taught, tokenizer = load_checkpoint(teacher, HEAD)
    texts = tokenizer(list(setup.examples.texts), padding=True, return_tensors="pt")
    before = distance(setup.model, taught, texts)
    parts.finetune.train(setup)
    assert distance(setup.model, taught, texts) < 0.5 * before


def distance(student: PreTrainedModel, teacher: PreTrainedModel, texts: BatchEncoding) -> float:
    """The loss of the student's hidden states."""
    with torch.inference_mode():
        own, theirs = (
            model.eval()(**texts, output_hidden_states=True).hidden_states[1:] for model in (student, teacher)
        )
    return float(nearest_loss(own, theirs, texts["attention_mask"]))


def test_a_student_that_lacks_tokens_learns_hidden_states_in_its_own(pieces_bert: Path, tmp_path: Path) -> None:
    movies = [f"model.path={pieces_bert}", f"task.data_dir={MOVIES}", "task.test_size=20"]
    train(compose_parts(*movies, *LEARN), HEAD, tmp_path / "teacher")
    taught, whole = load_checkpoint(tmp_path / "teacher", HEAD)
    hidden = [f"finetune.teacher={tmp_path / 'teacher'}", "finetune.hidden_loss=5.0", "seed=1"]
    parts = compose_parts(*movies, "finetune=distill", *hidden, *LEARN)
    setup = new_setup(parts, HEAD, tmp_path / "student")
    assert whole is not None
    fewer = without_tokens(whole, complete(whole, set()))
    assert len(fewer) < len(whole)
    parts.finetune.check_student(setup.model.config, fewer)
    for model in (setup.model, taught):
        keep_tokens(model, whole, fewer)
    texts = fewer(list(setup.examples.texts), padding=True, return_tensors="pt")
    before = distance(setup.model, taught, texts)
    parts.finetune.train(replace(setup, tokenizer=fewer))
    assert distance(setup.model, taught, texts) < 0.5 * before


def test_each_teaching_layer_is_compared_with_the_nearest_one() -> None:
    own = [torch.full((1, 3, 2), value) for value in (1.0, 5.0)]
    theirs = [torch.full((1, 3, 2), value) for value in (9.0, 2.0, 9.0, 5.0, 9.0, 7.0, 9.0, 1.0)]
    padded = [torch.cat([one, torch.full((1, 1, 2), 100.0 * place)], dim=1) for place, one in enumerate(theirs)]
    found = nearest_loss([torch.cat([one, one[:, :1]], dim=1) for one in own], padded, torch.tensor([[1, 1, 1, 0]]))
    assert float(found) == pytest.approx((1 + 0 + 4 + 0) / 4), "layers 2, 4, 6 and 8 teach, and padding does not"


def test_a_teacher_of_hidden_states_has_the_width_and_the_tokens(
    small: list[str], teacher: Path, tiny_gpt2: Path, tmp_path: Path
) -> None:
    def check_against(*changes: int) -> None:
        parts = compose_parts(*small, "finetune=distill", f"finetune.teacher={teacher}", "finetune.hidden_loss=1")
        config, tokenizer = parts.model.config(Store(tmp_path)), parts.model.tokenizer(Store(tmp_path))
        for width in changes:
            config.hidden_size = width
        parts.finetune.check_student(config, AutoTokenizer.from_pretrained(tiny_gpt2) if not changes else tokenizer)

    with pytest.raises(UserError, match=r"has 64 hidden features, .* 32; give finetune\.hidden_loss=0"):
        check_against(32)
    with pytest.raises(UserError, match=r"lacks tokens of the model that it teaches; give finetune\.hidden_loss=0"):
        check_against()
    check_against(64)
    shutil.copytree(teacher, tmp_path / "fewer")
    settings = tmp_path / "fewer/tokenizer_config.json"
    names = {"model_input_names": ["input_ids", "attention_mask"]}
    settings.write_text(json.dumps(json.loads(settings.read_text()) | names))
    fewer = compose_parts(
        *small, "finetune=distill", f"finetune.teacher={tmp_path / 'fewer'}", "finetune.hidden_loss=1"
    )
    config, own = fewer.model.config(Store(tmp_path)), fewer.model.tokenizer(Store(tmp_path))
    with pytest.raises(UserError, match=r"reads no token_type_ids, .*; give finetune\.hidden_loss=0"):
        fewer.finetune.check_student(config, own)
