"""A logged model as `mlflow models serve` answers: MLflow's reading of a request, the artifact's own columns."""

import json
import shutil
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.pyfunc import scoring_server

from effcomp.core.store import Store
from effcomp.runtimes.predictor import Predictor, runtime_of
from effcomp.tasks.signature import Signature
from effcomp.tracking.served import save_served, serving
from tests.conftest import compose_parts
from tests.small_artifacts import write_small

ROWS = [{"id": 7, "subject": "dull", "body": "and far too long"}, {"id": 8, "subject": "great", "body": "a fine film"}]


@pytest.fixture(scope="module", params=["torch", "openvino"])
def folders(request: pytest.FixtureRequest, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An artifact of the store whose texts are two columns, and the folder of its MLflow model."""
    scratch = tmp_path_factory.mktemp(request.param)

    def build(folder: Path) -> None:
        small = write_small(tiny_bert, scratch / "small", "sequence_classification", runtime=request.param)
        shutil.copytree(small, folder, dirs_exist_ok=True)
        Signature("classification", 32, text=("subject", "body")).write(folder)

    artifact = Store(scratch / "store").get("artifact", {"runtime": request.param}, build).path
    runtime = compose_parts(f"runtime={request.param}").runtime
    save_served(artifact, runtime, [], Model(), scratch / "model")
    return artifact, scratch / "model"


def answer(model: mlflow.pyfunc.PyFuncModel, request: Any, content_type: str = "application/json") -> Any:
    """The rows that the server would send back."""
    data = request if isinstance(request, str) else json.dumps(request)
    found = scoring_server.invocations(data, content_type, model, model.metadata.get_input_schema())
    assert found.status == 200
    return json.loads(found.response)["predictions"]


def test_a_table_with_more_columns_is_answered_as_the_artifact_answers(folders: tuple[Path, Path]) -> None:
    artifact, folder = folders
    model = mlflow.pyfunc.load_model(str(folder))
    expected = Predictor(artifact)([{"subject": row["subject"], "body": row["body"]} for row in ROWS])
    columns = list(ROWS[0])
    split = {"columns": columns, "data": [[row[name] for name in columns] for row in ROWS]}
    csv = "body,subject\nand far too long,dull\na fine film,great\n"
    for found in (
        answer(model, {"dataframe_split": split}),
        answer(model, {"dataframe_records": ROWS}),
        answer(model, csv, "text/csv"),
    ):
        assert [row["label"] for row in found] == [row["label"] for row in expected]
        for row, wanted in zip(found, expected, strict=True):
            assert row == pytest.approx(wanted, abs=1e-5)
    example = json.loads((folder / "serving_input_example.json").read_text())
    assert len(answer(model, example)) == 1, "the example that MLflow's page shows"


def test_a_table_without_a_column_of_the_text_is_refused_by_name(folders: tuple[Path, Path]) -> None:
    model = mlflow.pyfunc.load_model(str(folders[1]))
    with pytest.raises(MlflowException, match=r"missing inputs \['body'\]"):
        answer(model, {"dataframe_records": [{"id": 7, "subject": "dull"}]})


@pytest.mark.parametrize(
    ("request_", "content_type"),
    [
        ({"dataframe_records": [{"subject": "dull", "body": None}]}, "application/json"),
        ('{"dataframe_records": [{"subject": "dull", "body": NaN}]}', "application/json"),
        ("subject,body\ndull,\n", "text/csv"),
    ],
    ids=["null", "NaN", "empty cell"],
)
def test_a_missing_text_is_refused_in_a_line(folders: tuple[Path, Path], request_: Any, content_type: str) -> None:
    model = mlflow.pyfunc.load_model(str(folders[1]))
    with pytest.raises(MlflowException, match=r"row 1, column body is (nan|None): give a text") as refused:
        answer(model, request_, content_type)
    assert refused.value.error_code == "INVALID_PARAMETER_VALUE", "400, without a trace"


def test_a_number_in_a_column_of_texts_is_read_as_it_is_written(folders: tuple[Path, Path]) -> None:
    model = mlflow.pyfunc.load_model(str(folders[1]))
    number, text = ({"dataframe_records": [{"subject": one, "body": "dull"}]} for one in (3, "3"))
    assert answer(model, number) == answer(model, text)


def test_what_the_model_needs_can_be_installed(folders: tuple[Path, Path]) -> None:
    artifact, folder = folders
    needed = (folder / "requirements.txt").read_text().split()
    assert ("openvino" in {line.partition("==")[0] for line in needed}) == (artifact / "openvino_model.xml").exists()
    assert not any(line.startswith("effcomp") for line in needed), "no package index has it; its sources are in code/"
    assert (folder / "code/effcomp/tracking/served.py").is_file()


def test_a_model_is_served_by_a_runtime_of_the_processor_and_without_a_draft(folders: tuple[Path, Path]) -> None:
    artifact, _ = folders
    measured, with_draft = compose_parts("runtime=cuda_graphs").runtime, compose_parts("runtime.draft=prompt").runtime
    assert serving(measured, artifact) == runtime_of(artifact)
    assert serving(with_draft, artifact) == compose_parts("runtime=torch").runtime
