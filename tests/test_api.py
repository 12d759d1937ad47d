"""The Python interface, on one small run: what it returns, and that its artifact answers everywhere alike."""

import csv
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pandas as pd
import pytest

import effcomp
from effcomp.artifact.folder import load_artifact
from effcomp.core.errors import UserError
from effcomp.record.result import Result
from tests.conftest import machine_rates_in, run_effcomp
from tests.small_artifacts import write_small

TEXTS = ["a great film", "dull and far too long"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working folder of a user."""
    folder, before = tmp_path_factory.mktemp("user"), Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def result(folder: Path, tiny: list[str]) -> Result:
    with machine_rates_in(folder / "multirun/store"):
        return effcomp.run([*tiny, "quant=int8_dynamic", "device.threads=1"])


@pytest.fixture(scope="module")
def artifact(result: Result) -> Path:
    return Path("multirun/store/artifact") / result.record.truth.artifact


def test_a_run_returns_its_result_and_leaves_it_on_disk(result: Result) -> None:
    assert result.record.choices["quant"] == "int8_dynamic"
    (run,) = Path("multirun").glob("*-*/*")
    assert Result.read(run).record == result.record
    assert callable(effcomp.run), "also after its module was imported"
    assert not logging.getLogger("bitsandbytes").isEnabledFor(logging.WARNING), "it advises to install more at import"


def test_an_artifact_is_loaded_from_its_folder_its_run_or_its_result(result: Result, artifact: Path) -> None:
    (run,) = Path("multirun").glob("*-*/*")
    answers = effcomp.load(result)(TEXTS)
    assert [set(answer) for answer in answers] == [{"label", "negative", "positive"}] * 2
    assert effcomp.load(artifact)(TEXTS) == effcomp.load(str(run))(TEXTS) == answers


def test_the_command_predicts_what_the_interface_predicts(artifact: Path, folder: Path) -> None:
    (folder / "texts.csv").write_text("id,text\n1,a great film\n2,dull and far too long\n")
    ran = run_effcomp("predict", str(artifact), "texts.csv", cwd=folder, module="effcomp")
    assert ran.code == 0, ran.stderr
    rows = list(csv.DictReader(ran.stdout.splitlines()))
    expected = effcomp.load(artifact)(TEXTS)
    assert [(row["row"], row["label"]) for row in rows] == [("2", expected[0]["label"]), ("3", expected[1]["label"])]
    assert float(rows[1]["positive"]) == pytest.approx(expected[1]["positive"], abs=1e-5)
    (folder / "other.csv").write_text("sentence\na great film\n")
    refused = run_effcomp("predict", str(artifact), "other.csv", cwd=folder, module="effcomp")
    assert refused.code == 2
    assert "other.csv, row 1: 'sentence' is no header with text; write one" in refused.stderr, (
        "a header is no text to answer"
    )
    (folder / "texts.csv").write_text('text\na great film\n""\n\nfine\n')
    ran = run_effcomp("predict", str(artifact), "texts.csv", cwd=folder, module="effcomp")
    assert [row["row"] for row in csv.DictReader(ran.stdout.splitlines())] == ["2", "3", "5"], "an empty text is a text"
    options = ["--out", "/dev/null/answers.csv"]
    refused = run_effcomp("predict", str(artifact), "texts.csv", *options, cwd=folder, module="effcomp")
    assert "--out /dev/null/answers.csv cannot be written to" in refused.stderr
    refused = run_effcomp("predict", str(artifact), "nosuch.csv", cwd=folder, module="effcomp")
    assert (refused.code, refused.stderr) == (2, "error: nosuch.csv does not exist: give a file of texts\n")


def test_the_logged_model_reads_the_columns_of_the_task_and_needs_no_installed_effcomp(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlruns/mlflow.db")
    experiments = [experiment.experiment_id for experiment in mlflow.search_experiments()]
    (logged,) = mlflow.search_logged_models(experiments, output_format="list")
    served = mlflow.pyfunc.load_model(f"models:/{logged.model_id}")
    expected = effcomp.load(artifact)(TEXTS)
    table = pd.DataFrame({"id": ["1", "2"], "text": TEXTS, "team": ["x", "y"]})
    assert served.predict(table)["label"].tolist() == [answer["label"] for answer in expected]
    with pytest.raises(mlflow.exceptions.MlflowException, match=r"missing inputs \['text'\]"):
        served.predict(table[["id", "team"]])
    assert served.metadata.signature.inputs.input_names() == ["text"]
    assert served.metadata.signature.outputs.input_names() == ["label", "negative", "positive"]
    assert served.input_example is not None
    place = Path(mlflow.artifacts.download_artifacts(f"models:/{logged.model_id}"))
    assert (place / "code/effcomp/__init__.py").is_file()
    needed = (place / "requirements.txt").read_text()
    assert "transformers==" in needed and "effcomp" not in needed


def test_files_of_the_store_are_readable_by_others(artifact: Path) -> None:
    assert {oct(file.stat().st_mode & 0o777) for file in artifact.iterdir()} == {"0o644"}


def test_transformers_finds_no_weights_in_codes_and_reads_floats(tiny_bert: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    codes = write_small(tiny_bert, tmp_path / "codes", "sequence_classification", quant="int8_scratch")
    with pytest.raises(OSError, match=r"no file named model.safetensors"):
        AutoModelForSequenceClassification.from_pretrained(codes, use_safetensors=True)
    floats = write_small(tiny_bert, tmp_path / "floats", "sequence_classification")
    _, report = AutoModelForSequenceClassification.from_pretrained(
        floats, use_safetensors=True, output_loading_info=True
    )
    assert not report["missing_keys"]


def test_pytorch_is_told_that_an_artifact_is_another_runtimes(tiny_bert: Path, tmp_path: Path) -> None:
    folder = write_small(tiny_bert, tmp_path / "onnx", "sequence_classification", runtime="onnxruntime")
    with pytest.raises(ValueError, match=r"holds no weights for PyTorch; effcomp.load\(folder\)"):
        load_artifact(folder)


def test_records_are_a_table_with_intervals_as_columns(result: Result) -> None:
    table = effcomp.records()
    assert len(table) == 1
    row = table.iloc[0]
    assert (row["quant"], row["artifact"]) == ("int8_dynamic", result.record.truth.artifact)
    assert row["speed.speedup.low"] <= row["speed.speedup"] <= row["speed.speedup.high"]
    assert row["finetune.epochs"] == 1


def test_a_sweep_returns_a_result_for_each_configuration_that_came_through(result: Result, tiny: list[str]) -> None:
    found = effcomp.sweep([*tiny, "quant=fp8,int8_dynamic", "device.threads=1", "tracking=none"])
    assert [one.record.quality for one in found] == [result.record.quality], "fp8 needs a GPU; the other is stored"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["quant=nosuch"], "quant=nosuch: there is no such choice; choose one of: bf16"),
        (["bench.tunrs=3"], "did you mean bench.turns"),
        (["finetune.epochs=0"], "finetune.epochs=0"),
    ],
)
def test_a_wrong_override_is_a_usererror(
    overrides: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        effcomp.run(overrides)
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match=message):
        effcomp.sweep(overrides)


def test_a_configuration_is_measured_again_and_checked_against_limits(artifact: Path, folder: Path) -> None:
    before = len(list(folder.glob("multirun/*-*/*")))
    limits = ["max_artifact_bytes=1", "max_peak_rss_bytes=1e12"]
    ran = run_effcomp("check", str(artifact), "--require", *limits, cwd=folder, module="effcomp")
    assert ran.code == 1, ran.stderr
    assert ran.record["verdict"] == "broken"
    verdicts = {limit: standing["verdict"] for limit, standing in ran.record["limits"].items()}
    assert verdicts == {"max_artifact_bytes=1": "broken", "max_peak_rss_bytes=1e12": "kept"}
    assert "int8_dynamic breaks a limit" in ran.stderr
    assert len(list(folder.glob("multirun/*-*/*"))) == before + 1, "it was measured again"


def test_a_sweep_runs_in_a_folder_of_any_name(tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / "é (copy), 1"
    odd.mkdir()
    monkeypatch.chdir(odd)
    with pytest.raises(UserError, match="quant=nosuch"):
        effcomp.sweep([*tiny, "quant=none,nosuch"])
