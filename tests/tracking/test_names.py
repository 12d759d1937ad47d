"""Names of labels, tasks and models in MLflow: whatever they are, the run is logged and the true names are there."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.utils.validation import _validate_logged_model_name, _validate_metric_name, _validate_param_name

from effcomp.record import Record
from effcomp.tracking.mlflow_runs import MlflowTracking
from effcomp.tracking.names import metric_name, model_name
from tests.conftest import records
from tests.record.test_result import some_result
from tests.small_artifacts import write_small

NAMES = ["Q&A", "C++", "😡 سيئ", "良い", "tickets.v2", "a/b", "a:b", "..", "a//b", '"quoted"', "50 %", "x" * 300]


@pytest.mark.parametrize("name", NAMES)
def test_mlflow_takes_every_name(name: str) -> None:
    path = metric_name(f"quality.per_class.{name}.f1")
    _validate_metric_name(path)
    _validate_param_name(path)
    _validate_logged_model_name(model_name(name))


def test_names_that_suit_mlflow_stay_and_others_stay_apart() -> None:
    assert metric_name("speed.by_batch_size.32.speedup.low") == "speed.by_batch_size.32.speedup.low"
    assert model_name("minilm-sst2-nf4") == "minilm-sst2-nf4"
    assert len({metric_name(name) for name in NAMES}) == len(NAMES)
    assert metric_name("Q&A") != metric_name("Q+A")


def odd_record() -> Record:
    """A record whose labels, task and model have names that MLflow does not take."""
    record = records("nf4")[0]
    text = record.to_json()
    for label, odd in zip(record.quality.per_class, ("C++ & 😡", "value"), strict=True):
        text = text.replace(f'"{label}"', json.dumps(odd))
    fields = json.loads(text)
    fields["config"]["choices"] |= {"task": "tickets.v2/a", "model": "m" * 300}
    return Record.from_json(json.dumps(fields))


def test_a_run_with_odd_names_is_logged_with_its_true_names(tiny_bert: Path, tmp_path: Path) -> None:
    tracking = MlflowTracking(name="local", uri=f"sqlite:///{tmp_path}/mlflow.db", artifacts=tmp_path / "files")
    tracking.prepare()
    record = odd_record()
    artifact = write_small(tiny_bert, tmp_path / "artifact", "sequence_classification")
    tracking.log(replace(some_result(), record=record), artifact, {}, parent=None)
    client, experiment = tracking.open_experiment()
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert json.loads(run.data.tags["labels"]) == ["C++ & 😡", "value"]
    assert run.data.tags["task"] == "tickets.v2/a"
    assert "quality/per_class.value.f1" in run.data.metrics, "a label named value keeps its name"
    (model,) = client.search_logged_models([experiment.experiment_id])
    assert model.status == "READY"
