"""What of a Result goes into its MLflow run: numbers, series, files, the model."""

import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from effcomp.artifact.description import read_description
from effcomp.core.component import from_spec
from effcomp.quant.base import Quant
from effcomp.record import Quality, Record, settings
from effcomp.record.result import Result
from effcomp.runtimes.base import Runtime
from effcomp.tracking.names import metric_name, model_name

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

LONGEST_PARAMETER = 500
HEADLINES = (
    "quality.accuracy",
    "quality.perplexity",
    "speed.speedup",
    "speed.latency_p50_ms",
    "cost.size.artifact_bytes",
)
"""Logged first: MLflow's comparison shows the first metric that it finds."""


def log_numbers(client: "MlflowClient", run_id: str, result: Result) -> None:
    """Parameters, metrics, the curves of training and of recovery by step, and the resource trace by milliseconds."""
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    measured = result.record.metrics()
    headlines = {name: measured[name] for name in HEADLINES if name in measured}
    metrics = [Metric(metric_name(name), value, now, 0) for name, value in (headlines | measured).items()]
    for kind, curve in (("training", result.training_curve), ("recovery", result.recovery_curve)):
        for row in curve:
            for name in ("loss", "learning_rate", "eval_loss"):
                if name in row:
                    metrics.append(Metric(f"{kind}.{name}", float(row[name]), now, int(row["step"])))
    for sample in result.trace:
        step = round(sample.seconds * 1000)
        metrics.append(Metric("trace.rss_bytes", float(sample.rss_bytes), now, step))
        metrics.append(Metric("trace.cpu_percent", sample.cpu_percent, now, step))
        for name, value in (asdict(sample.gpu) if sample.gpu is not None else {}).items():
            metrics.append(Metric(f"trace.gpu_{name}", float(value), now, step))
    parameters = [
        Param(metric_name(name), str(value)[:LONGEST_PARAMETER])
        for name, value in settings(result.record.config).items()
    ]
    for start in range(0, len(metrics), 1000):  # the most that a server takes at once
        client.log_batch(run_id, metrics=metrics[start : start + 1000])
    client.log_batch(run_id, params=parameters)


def log_files(client: "MlflowClient", run_id: str, result: Result) -> None:
    """The result's own files, and the confusion matrix as a figure and as numbers."""
    from effcomp.report.figures.figures import confusion_figure

    record = result.record
    with tempfile.TemporaryDirectory(prefix="effcomp-") as scratch:
        folder = Path(scratch)
        result.write(folder)
        if isinstance(record.quality, Quality):
            labels = list(record.quality.per_class)
            matrix = {"labels": labels, "rows_true_columns_predicted": record.quality.confusion_matrix}
            (folder / "confusion_matrix.json").write_text(json.dumps(matrix, indent=1) + "\n")
            confusion_figure(record).savefig(folder / "confusion_matrix.png")
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
