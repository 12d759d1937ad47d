"""Contents of the MLflow run of a Result: numbers, series, files, the model."""

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from effcomp.artifact.description import read_description
from effcomp.core.component import from_spec
from effcomp.quant.base import Quant
from effcomp.record import Quality, Record, settings
from effcomp.record.result import Result
from effcomp.runtimes.base import Runtime
from effcomp.tracking.metrics import metrics, series
from effcomp.tracking.names import metric_name, model_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow.tracking import MlflowClient

LONGEST_PARAMETER = 500
MOST_METRICS = 1000
"""Metrics that a server takes at once."""


def log_numbers(client: "MlflowClient", run_id: str, result: Result) -> None:
    """Log parameters, metrics and series; headline metrics first: MLflow's comparison shows the first that it finds."""
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    logged = [Metric(name, value, now, 0) for name, value in metrics(result.record).items()]
    logged += [Metric(point.name, point.value, point.timestamp_ms, point.step) for point in series(result)]
    parameters = [
        Param(metric_name(name), str(value)[:LONGEST_PARAMETER])
        for name, value in settings(result.record.config).items()
    ]
    for start in range(0, len(logged), MOST_METRICS):
        client.log_batch(run_id, metrics=logged[start : start + MOST_METRICS])
    client.log_batch(run_id, params=parameters)


def log_files(client: "MlflowClient", run_id: str, result: Result, figures: Mapping[str, "Figure"]) -> None:
    """Log the result's own files, the confusion matrix as numbers, and figures as NAME.png."""
    record = result.record
    with tempfile.TemporaryDirectory(prefix="effcomp-") as scratch:
        folder = Path(scratch)
        result.write(folder)
        if isinstance(record.quality, Quality):
            labels = list(record.quality.per_class)
            matrix = {"labels": labels, "rows_true_columns_predicted": record.quality.confusion_matrix}
            (folder / "confusion_matrix.json").write_text(json.dumps(matrix, indent=1) + "\n")
        for name, figure in figures.items():
            figure.savefig(folder / f"{name}.png")
        client.log_artifacts(run_id, scratch)


def log_model(client: "MlflowClient", run_id: str, experiment: str, record: Record, artifact: Path) -> str:
    """Log the artifact as an MLflow model (see effcomp.tracking.served), an output of the run; return its id."""
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus
    from mlflow.models import Model

    from effcomp.tracking.served import save_served

    settings_of_runtime = dict(record.config["runtime"])
    runtime = from_spec({"id": settings_of_runtime.pop("id"), "fields": settings_of_runtime}, Runtime)
    quant = from_spec(read_description(artifact).quant, Quant)
    name = "-".join(record.choices[group] for group in ("model", "task", "quant", "prune", "runtime"))
    model = client.create_logged_model(experiment, name=model_name(name), source_run_id=run_id, tags=record.choices)
    described = Model(run_id=run_id, model_id=model.model_id, artifact_path=model.artifact_location)
    with tempfile.TemporaryDirectory(prefix="effcomp-") as scratch:
        folder = Path(scratch) / "model"
        save_served(artifact, runtime, quant.packages, described, folder)
        client.log_model_artifacts(model.model_id, str(folder))
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    model_id: str = model.model_id
    return model_id
