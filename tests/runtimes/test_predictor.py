"""A loaded artifact answers texts as it was measured, with every runtime."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from effcomp.core.errors import UserError
from effcomp.core.store import MANIFEST
from effcomp.models.reconcile import load_tokenizer
from effcomp.runtimes.cuda_graphs import CudaGraphs
from effcomp.runtimes.predictor import Predictor, runtime_of
from effcomp.tasks.base import Examples
from effcomp.tasks.encoding import encode
from effcomp.tasks.signature import Signature, read_signature
from tests.architectures import ENCODERS
from tests.small_artifacts import write_small

TEXTS = ["a great film", "dull , and far too long to be any good at all", "fine"]


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime", "openvino"])
def test_the_runtime_that_the_artifact_was_written_for_answers(runtime: str, tiny_bert: Path, tmp_path: Path) -> None:
    folder = write_small(tiny_bert, tmp_path / "artifact", "sequence_classification", runtime=runtime)
    torch = Predictor(write_small(tiny_bert, tmp_path / "torch", "sequence_classification"))
    assert runtime_of(folder).name == runtime
    answers, expected = Predictor(folder)(TEXTS), torch(TEXTS)
    assert [answer["label"] for answer in answers] == [answer["label"] for answer in expected]
    for answer, wanted in zip(answers, expected, strict=True):
        for label in torch.labels:
            assert answer[label] == pytest.approx(wanted[label], abs=1e-4)
        assert sum(answer[label] for label in torch.labels) == pytest.approx(1)


@pytest.fixture
def classifier(tiny_bert: Path, tmp_path: Path) -> Path:
    return write_small(tiny_bert, tmp_path / "classifier", "sequence_classification", quant="int8_dynamic")


def test_a_runtime_answers_on_its_own_devices_alone(classifier: Path, tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="runtime=cuda_graphs does not run on cpu; it runs on: cuda"):
        Predictor(classifier, CudaGraphs(name="cuda_graphs"))
    folder = write_small(tiny_bert, tmp_path / "artifact", "sequence_classification", runtime="onnxruntime")
    with pytest.raises(UserError, match="cuda"):
        Predictor(folder, device="cuda")
    assert Predictor(folder, device="auto").placed("auto").kind == "cpu"


def test_a_text_is_cut_where_it_was_cut_when_it_was_measured(classifier: Path) -> None:
    Signature("classification", max_length=4).write(classifier)
    predictor = Predictor(classifier)
    assert predictor(["a great film"]) == predictor(["a great dull"]), "[CLS] a great [SEP]"
    Signature("classification", max_length=8).write(classifier)
    predictor = Predictor(classifier)
    assert predictor(["a great film"]) != predictor(["a great dull"])


def test_a_row_of_a_table_is_read_by_the_columns_of_the_task(classifier: Path) -> None:
    Signature("classification", 32, text=("subject", "body")).write(classifier)
    predictor = Predictor(classifier)
    row = {"id": "7", "body": " too long ", "subject": "dull", "team": "x"}
    assert predictor([row]) == predictor(["dull too long"])
    assert predictor(pd.DataFrame([row])) == predictor([row])
    with pytest.raises(UserError, match=r"the column body is missing; the model reads subject, body"):
        predictor([{"subject": "dull"}])


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("a great film", "'a great film' is a single text: give a list of texts"),
        (["a great film", None], "text 2 is None: give a text"),
        (pd.Series(["a great film", float("nan")]), "text 2 is nan: give a text"),
        ([{"text": "dull"}, {"text": None}], "row 2, column text is None: give a text"),
    ],
    ids=["a string", "None", "NaN", "a cell"],
)
def test_what_is_no_text_is_refused_with_its_place(given: Any, reason: str, classifier: Path) -> None:
    with pytest.raises(UserError, match=re.escape(reason)):
        Predictor(classifier)(given)


def test_pairs_are_asked_for_where_the_task_has_pairs(classifier: Path) -> None:
    Signature("classification", 32, text=("premise",), pair="hypothesis").write(classifier)
    predictor = Predictor(classifier)
    assert predictor([{"premise": "a film", "hypothesis": "fine"}]) == predictor([("a film", "fine")])
    assert predictor([("a film", "fine")]) != predictor([("fine", "a film")])
    with pytest.raises(UserError, match="this model reads pairs of texts"):
        predictor(["a film"])


@pytest.mark.parametrize(("architecture", "special"), [("roberta", {"type_vocab_size": 1}), ("xlnet", {})])
def test_texts_become_the_tokens_that_were_measured(
    architecture: str, special: dict[str, int], tiny_bert: Path, tmp_path: Path
) -> None:
    """RoBERTa has one token type, and XLNet reads the last position: a BERT tokenizer knows neither."""
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    words = AutoTokenizer.from_pretrained(tiny_bert)
    shape = ENCODERS[architecture] | special | {"vocab_size": len(words), "pad_token_id": words.pad_token_id}
    config = AutoConfig.for_model(architecture, **shape)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path / "model")
    words.save_pretrained(tmp_path / "model")
    folder = write_small(tmp_path / "model", tmp_path / "artifact", "sequence_classification")
    Signature("classification", 32, pair="hypothesis").write(folder)
    pairs = Examples(("a film", "a warm film that helps"), pairs=("fine", "dull"))
    measured = encode(pairs, load_tokenizer(tmp_path / "model", config), 32).batch([0, 1])
    predictor = Predictor(folder)
    asked = encode(pairs, predictor.tokenizer, 32).batch([0, 1])
    assert {name: ids.tolist() for name, ids in asked.items()} == {name: ids.tolist() for name, ids in measured.items()}
    assert len(predictor(list(zip(pairs.texts, pairs.pairs, strict=True)))) == 2


def test_a_class_that_is_named_as_the_answer_does_not_replace_it(classifier: Path) -> None:
    config = classifier / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"id2label": {"0": "label", "1": "other"}}))
    (classifier / MANIFEST).unlink(missing_ok=True)
    (answer,) = Predictor(classifier)(["a great film"])
    assert answer["label"] in {"label", "other"}
    assert answer["probability of label"] + answer["other"] == pytest.approx(1)


def test_many_texts_are_answered_in_their_order(classifier: Path) -> None:
    predictor = Predictor(classifier)
    texts = [" ".join(["film"] * (number % 7 + 1)) for number in range(70)]
    by_length = {text: predictor([text])[0]["label"] for text in set(texts)}
    assert [answer["label"] for answer in predictor(texts)] == [by_length[text] for text in texts]
    assert predictor([]) == []


def test_a_decoder_tells_its_loss_or_writes(tiny_gpt2: Path, tmp_path: Path) -> None:
    folder = write_small(tiny_gpt2, tmp_path / "decoder", "causal_lm")
    (answer,) = Predictor(folder)(["a great film"])
    assert answer["tokens"] > 1 and 3 < answer["loss"] < 9, "random weights know nothing: log 400 is 6.0"
    Signature("generation", 32, new_tokens=5).write(folder)
    written = Predictor(folder)(["a great", "a dull and long"])
    assert [set(one) for one in written] == [{"text", "tokens"}] * 2
    assert all(1 <= one["tokens"] <= 5 for one in written)


def test_a_copy_under_another_name_is_loaded_and_a_changed_one_is_not(classifier: Path, tmp_path: Path) -> None:
    from effcomp.core.store import write_manifest

    write_manifest(classifier, {})
    copy = shutil.copytree(classifier, tmp_path / "deployed")
    assert Predictor(copy)(TEXTS) == Predictor(classifier)(TEXTS)
    (copy / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"changed since it was stored: config.json does not match"):
        Predictor(copy)


def test_a_folder_without_an_artifact_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no artifact.json: give an artifact's folder"):
        Predictor(tmp_path)


def test_a_signature_comes_back_as_it_was_written(tmp_path: Path) -> None:
    assert read_signature(tmp_path) is None
    signature = Signature("generation", 64, ("question",), new_tokens=32, stop=("\n",))
    signature.write(tmp_path)
    assert read_signature(tmp_path) == signature
