"""A student from a folder stands in the place of a pruned model: both answer the same texts, each in its own tokens."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoConfig

from effcomp.core.errors import UserError
from effcomp.finetune.base import read_curve
from effcomp.models.base import load_checkpoint
from effcomp.pipeline.prepare import prepare
from effcomp.pipeline.stage import Run
from effcomp.pipeline.tokens import inputs
from effcomp.pipeline.training import checkpoint, pruned
from effcomp.prune.student import Student
from effcomp.record import Quality
from effcomp.runtimes.predictor import Predictor
from tests.conftest import MOVIES, SMALL, compose_parts, run_parts

SETTINGS = ["tracking=none", "device=cpu", *SMALL, f"task.data_dir={MOVIES}", "task.test_size=20"]
LABELS = {0: "negative", 1: "positive"}


def classifier(source: Path, folder: Path, labels: dict[int, str] = LABELS) -> Path:
    """A folder with this model as a classifier of these labels."""
    model, tokenizer = load_checkpoint(source, "sequence_classification")
    model.config.id2label, model.config.label2id = labels, {name: i for i, name in labels.items()}
    model.save_pretrained(folder)
    assert tokenizer is not None
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def student(tiny_bert: Path, tmp_path: Path) -> Path:
    return classifier(tiny_bert, tmp_path / "student")


def with_student(teacher: Path, student: Path, *more: str) -> list[str]:
    return [*SETTINGS, f"model.path={teacher}", "prune=student", f"prune.path={student}", *more]


def test_both_sides_read_the_same_texts_and_the_student_answers(
    pieces_bert: Path, student: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    result = run_parts(
        compose_parts(*with_student(pieces_bert, student, f"store={store}", "finetune.epochs=1", "quant=int8_dynamic"))
    )
    assert isinstance(result.record.quality, Quality)
    assert result.record.truth.data.vocabulary is None, "no tokens of the model: tokens of its own"
    artifact = store / "artifact" / result.record.truth.artifact
    assert AutoConfig.from_pretrained(artifact).vocab_size == AutoConfig.from_pretrained(student).vocab_size
    assert len(Predictor(artifact)(["a fine film", "dull"])) == 2


def test_each_side_reads_its_own_tokens(pieces_bert: Path, student: Path, tmp_path: Path) -> None:
    prepared = prepare(compose_parts(*with_student(pieces_bert, student, f"store={tmp_path}/store")))
    before, after = inputs(prepared.baseline()), inputs(prepared)
    assert len(before) == len(after)
    assert not np.array_equal(before.columns["input_ids"], after.columns["input_ids"])


def test_the_student_counts_by_its_content_and_not_by_its_place(student: Path, tmp_path: Path) -> None:
    def key(folder: Path) -> object:
        return compose_parts("prune=student", f"prune.path={folder}").prune.key()

    first = key(student)
    shutil.copytree(student, tmp_path / "copy")
    assert key(tmp_path / "copy") == first
    config = tmp_path / "copy" / "config.json"
    config.write_text(config.read_text().replace("0.1", "0.0"))
    assert key(tmp_path / "copy") != first


def test_a_student_that_cannot_answer_is_refused(tiny_bert: Path, student: Path, tmp_path: Path) -> None:
    def prepared(folder: Path, *more: str) -> None:
        parts = compose_parts(*with_student(tiny_bert, folder, f"store={tmp_path}/store", *more))
        parts.prune.check(parts.model)
        prepare(parts)

    with pytest.raises(UserError, match=r"prune=student needs prune\.path: give a smaller model"):
        compose_parts("prune=student").prune.check(compose_parts().model)
    with pytest.raises(UserError, match=r"prune\.path=/nowhere has no config\.json"):
        prepared(Path("/nowhere"))
    with pytest.raises(UserError, match=r"no weights for classifier"):
        prepared(tiny_bert)
    turned = classifier(tiny_bert, tmp_path / "turned", {0: "positive", 1: "negative"})
    with pytest.raises(UserError, match=r"stand in another order than negative, positive"):
        prepared(turned)
    other = classifier(tiny_bert, tmp_path / "other", {0: "ham", 1: "spam"})
    with pytest.raises(UserError, match=r"its labels are ham, spam, those of the task negative, positive"):
        prepared(other)
    with pytest.raises(UserError, match=r"task\.max_length=\d+: prune\.path=.* reads at most \d+ tokens"):
        prepared(student, "task.max_length=500")


def test_default_names_stand_for_the_labels_in_the_order_of_the_task(tiny_bert: Path, tmp_path: Path) -> None:
    turned, default = {0: "positive", 1: "negative"}, {0: "LABEL_0", 1: "LABEL_1"}
    model = classifier(tiny_bert, tmp_path / "model", turned)

    def used_as_it_is(*settings: str) -> Run:
        store = f"store={tmp_path}/store"
        return prepare(compose_parts(*SETTINGS, f"model.path={model}", "finetune=none", store, *settings))

    alike = classifier(tiny_bert, tmp_path / "alike", turned)
    assert used_as_it_is("prune=student", f"prune.path={alike}").splits.label_names == ("positive", "negative")
    other = classifier(tiny_bert, tmp_path / "other", default)
    with pytest.raises(UserError, match=r"stand in another order than positive, negative"):
        used_as_it_is("prune=student", f"prune.path={other}")


def test_the_recovery_learns_from_a_teacher_of_default_names(tiny_bert: Path, tmp_path: Path) -> None:
    folders = tmp_path / "model", tmp_path / "teacher"
    model, tokenizer = load_checkpoint(tiny_bert, "sequence_classification")
    assert tokenizer is not None
    model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.0
    model.classifier.weight.data *= 100
    for folder, names in zip(folders, (["positive", "negative"], ["LABEL_0", "LABEL_1"]), strict=True):
        model.config.id2label, model.config.label2id = dict(enumerate(names)), {names[0]: 0, names[1]: 1}
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        model.classifier.weight.data = model.classifier.weight.data.flip(0)  # the same answers in the other order
    recovery = ["finetune@prune.recovery=distill", f"prune.recovery.teacher={folders[1]}", "prune.recovery.epochs=0.1"]
    whole = ["prune=l1_unstructured", "prune.ratio=0", "prune.recovery.teacher_share=1"]
    parts = [f"model.path={folders[0]}", "finetune=none", f"store={tmp_path}/store", *whole, *recovery]
    prepared = prepare(compose_parts(*SETTINGS, *parts))
    assert read_curve(pruned(prepared, checkpoint(prepared)).path)[0]["loss"] < 0.001


def test_hidden_states_are_compared_with_those_of_the_student(pieces_bert: Path, student: Path, tmp_path: Path) -> None:
    hidden = ["finetune@prune.recovery=distill", "prune.recovery.hidden_loss=1", f"store={tmp_path}/store"]
    with pytest.raises(UserError, match=r"^the model before pruning lacks tokens .*prune\.recovery\.hidden_loss=0"):
        prepare(compose_parts(*with_student(pieces_bert, student, *hidden)))
    prepare(compose_parts(*with_student(pieces_bert, student, *hidden, f"prune.recovery.teacher={student}")))


def test_the_recovery_teaches_the_student(student: Path) -> None:
    prune = compose_parts("prune=student", f"prune.path={student}", "finetune@prune.recovery=distill").prune
    assert isinstance(prune, Student) and prune.trains
