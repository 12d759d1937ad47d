"""Data sets of the Hub against a small server of our own: what is fetched, at which commit, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from effcomp.core.errors import UserError
from effcomp.tasks.base import Task
from effcomp.tasks.hub_examples import Columns, read_examples
from tests.conftest import ROOT, SMALL, compose_parts, run_effcomp
from tests.hub_server import Fault, HubServer

pa = pytest.importorskip("pyarrow")
pytest.importorskip("datasets")
NAME = "some/data"
NLI = {"premise": ["a film", "a song"], "hypothesis": ["it is long", "it is not"], "label": [0, 2]}
CLASSES = ["entailment", "neutral", "contradiction"]


def parquet(columns: dict[str, list[Any]], classes: dict[str, list[str]], folder: Path) -> bytes:
    from datasets import ClassLabel, Dataset

    data = Dataset.from_dict(columns)
    for column, names in classes.items():
        data = data.cast_column(column, ClassLabel(names=names))
    data.to_parquet(folder / "one.parquet")
    return (folder / "one.parquet").read_bytes()


def nli(hub: HubServer, folder: Path) -> Task:
    """XNLI's layout: a folder for each language."""
    content = parquet(NLI, {"label": CLASSES}, folder)
    languages = ("de", "en", "es")
    lines = ["---", "configs:"]
    for language in languages:
        lines += [f"- config_name: {language}", "  data_files:"]
        for split in ("train", "test"):
            lines += [f"  - split: {split}", f"    path: {language}/{split}-*"]
    files = {f"{language}/{split}-0.parquet": content for language in languages for split in ("train", "test")}
    commit = hub.add("datasets", NAME, {**files, "README.md": "\n".join([*lines, "---", ""]).encode()})
    overrides = [f"task.hub.name={NAME}", f"task.hub.revision={commit}", "task.languages=[en,es]"]
    return compose_parts("task=xnli", *overrides).task


def test_only_the_training_split_and_the_languages_that_are_asked_for_are_fetched(
    hub: HubServer, tmp_path: Path
) -> None:
    task = nli(hub, tmp_path)
    task.check()
    assert not [path for path in hub.asked if path.endswith(".parquet")]
    splits = task.load()
    fetched = {path.split("/", 5)[5].partition("/")[2] for path in hub.asked if path.endswith(".parquet")}
    assert fetched == {"en/train-0.parquet", "en/test-0.parquet", "es/test-0.parquet"}
    assert splits.test.groups == ("en", "en", "es", "es")
    assert splits.test.labels == (0, 2, 0, 2)
    assert splits.rows == ()


def test_what_is_cached_of_the_pinned_commit_is_used_when_the_hub_is_down_and_no_other_commit(
    hub: HubServer, tmp_path: Path
) -> None:
    from effcomp.tasks.hub_data import find_layout

    task = nli(hub, tmp_path)
    before = task.load().fingerprint()
    find_layout.cache_clear()
    hub.fault = Fault("status", code=503)
    assert task.load().fingerprint() == before
    other = compose_parts("task=xnli", f"task.hub.name={NAME}", f"task.hub.revision={'0' * 40}").task
    with pytest.raises(UserError, match="the data set some/data is not cached, and the Hugging Face Hub answers"):
        other.check()


def test_the_columns_of_a_model_are_those_that_it_learned_from(tmp_path: Path) -> None:
    assert compose_parts("task=ag_news").task.signature().columns == ("text",)
    in_files = compose_parts("task=ag_news", f"task.data_dir={tmp_path}").task
    assert in_files.signature().columns == ("title", "description")


def table(hub: HubServer, columns: dict[str, list[Any]], classes: dict[str, list[str]], folder: Path) -> Task:
    content = parquet(columns, classes, folder)
    hub.add("datasets", NAME, {f"data/{split}-00000.parquet": content for split in ("train", "test")})
    overrides = [f"task.repository={NAME}", "task.text=[text]", "task.label=label"]
    return compose_parts("task=hub_table", *overrides).task.pinned()


TEXTS = ["a warm film", "a dull film", "a film"]


def test_a_table_has_the_names_of_its_classes(hub: HubServer, tmp_path: Path) -> None:
    task = table(hub, {"text": TEXTS, "label": [1, 0, 1]}, {"label": ["bad", "good"]}, tmp_path)
    task.check()
    splits = task.load()
    assert splits.label_names == ("bad", "good")
    assert splits.train.labels == (1, 0, 1)


def test_whole_numbers_with_a_point_are_classes(hub: HubServer, tmp_path: Path) -> None:
    splits = table(hub, {"text": TEXTS, "label": [1.0, 0.0, 1.0]}, {}, tmp_path).load()
    assert (splits.label_names, splits.train.labels) == (("0", "1"), (1, 0, 1))


def test_labels_that_differ_in_case_alone_are_two(hub: HubServer, tmp_path: Path) -> None:
    named = table(hub, {"text": TEXTS, "label": ["us", "US", "us"]}, {}, tmp_path)
    listed = Columns(["text"], None, "label", "task")
    examples = read_examples(named.read("train")[0], listed, {"us": 0, "US": 1}, "split train")
    assert examples.labels == (0, 1, 0)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            {"text": TEXTS, "label": [1, 0, -1]},
            r"label is -1 \(column label\), which hides it; .*labels \(task\.train, task\.test\)",
        ),
        ({"text": TEXTS, "label": [1, 0, None]}, r"row 2: the label is None \(column label\), which hides it"),
        ({"text": [[text] for text in TEXTS], "label": [1, 0, 1]}, r"row 0: text is \['a warm film'\], not a text"),
        ({"text": ["a", None, "b"], "label": [1, 0, 1]}, "row 1: text is None, not a text"),
        ({"sentence": TEXTS, "label": [1, 0, 1]}, "task.text=text: .* no such column; there are: sentence, label"),
        ({"text": TEXTS, "stars": [1, 0, 1]}, "task.label=label: .* no such column; there are: text, stars"),
        ({"text": TEXTS, "label": [0.5, 0.1, 1.0]}, "row 0: the label is 0.5 .*, no class; give another column"),
    ],
    ids=["hidden", "null label", "list", "null text", "text column", "label column", "numbers"],
)
def test_a_table_that_is_not_texts_with_classes_is_refused(
    columns: dict[str, list[Any]], words: str, hub: HubServer, tmp_path: Path
) -> None:
    classes = {"label": ["bad", "good"]} if columns.get("label") in ([1, 0, -1], [1, 0, None]) else {}
    task = table(hub, columns, classes, tmp_path)
    with pytest.raises(UserError, match=words):
        task.load()


def test_splits_and_subsets_that_are_there_are_listed(hub: HubServer, tmp_path: Path) -> None:
    task = table(hub, {"text": TEXTS, "label": [1, 0, 1]}, {}, tmp_path)
    with pytest.raises(UserError, match=r"task\.train=all: .*no such split; there are: train, test"):
        task.model_copy(update={"train": "all"}).check()
    with pytest.raises(UserError, match=r"task\.subset=nosuch: .*no such subset; there are: default"):
        task.model_copy(update={"subset": "nosuch"}).check()


def test_a_command_fetches_model_and_table_and_writes_a_record_with_their_commits(
    hub: HubServer, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = {"text": [f"{word} film {i}" for i in range(10) for word in ("warm", "dull")], "label": [1, 0] * 10}
    table(hub, columns, {"label": ["bad", "good"]}, tmp_path)
    model = hub.add("models", "some/bert", tiny_bert)
    for name, value in {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}.items():
        monkeypatch.setenv(name, value)
    chosen = [
        *("model=hub", "model.repository=some/bert", "finetune.epochs=1", "tracking=none"),
        *("task=hub_table", f"task.repository={NAME}", "task.text=[text]", "task.label=label"),
    ]
    ran = run_effcomp(*chosen, *SMALL, cwd=tmp_path, root=ROOT)
    assert ran.code == 0, ran.stderr
    config, quality = ran.record["config"], ran.record["quality"]
    assert (config["model"]["revision"], config["task"]["revision"]) == (model, hub.commit("datasets", NAME))
    assert (config["task"]["test"], quality["examples"]) == ("test", 20)
    assert "20 of 20 test examples stand in the training data too" in ran.stderr, "both splits are one file here"
    assert "HTTP Request" not in ran.stderr, "httpx logs each one, with signed addresses"
    (written,) = tmp_path.glob("multirun/*/*/record.json")
    assert json.loads(written.read_text()) == ran.record
