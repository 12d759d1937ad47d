"""Contents of the MLflow run of a Result: numbers, series, files, the model."""

import contextlib
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from effcomp.artifact.description import read_description
from effcomp.core.component import from_spec
from effcomp.core.store import folder_sha256, text_hash
from effcomp.quant.base import Quant
from effcomp.record import NotMeasured, Quality, Record, model_called, settings, task_called
from effcomp.record.result import Result
from effcomp.runtimes.base import Runtime
from effcomp.tracking.base import Summary
from effcomp.tracking.database import MODEL_TRAINING
from effcomp.tracking.metrics import metrics, series
from effcomp.tracking.names import (
    LINK_TAG,
    LONGEST_TAG,
    NOTE_TAG,
    PARENT_TAG,
    RECORD_TAG,
    REPORT_TAG,
    metric_name,
    model_name,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

LONGEST_PARAMETER = 500
LONGEST_DIGEST = 36
MOST_METRICS = 1000
"""Metrics that a server takes at once."""


def tags_of(record: Record) -> dict[str, str]:
    """Return the tags of a run: choices, processor or GPU, verdict."""
    versus, baseline = record.versus_baseline, record.is_baseline
    tags = {
        "kind": "configuration",
        "baseline": str(baseline),
        RECORD_TAG: text_hash(record.to_json()),
        "processor": record.truth.machine.device[:LONGEST_TAG],
        "verdict": "-" if baseline else versus.status if isinstance(versus, NotMeasured) else versus.verdict,
        "mlflow.source.name": "effcomp.run",
        "mlflow.source.git.commit": record.truth.software.git_commit.partition("+")[0],
        **{group: choice[:LONGEST_TAG] for group, choice in record.choices.items()},
        "model": model_called(record.config)[:LONGEST_TAG],
    }
    if isinstance(record.quality, Quality):
        tags["labels"] = json.dumps(list(record.quality.per_class), ensure_ascii=False)[:LONGEST_TAG]
    return tags


def log_input(client: "MlflowClient", run_id: str, record: Record) -> None:
    """Log the task's data as an input of the run, by the beginning of its fingerprint.

    Of two processes that log new data at the same moment, MLflow refuses one: it finds the data when it asks again.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.exceptions import MlflowException

    data = record.truth.data
    profile = {"train_examples": data.train_examples, "test_examples": data.test_examples}
    dataset = Dataset(
        name=task_called(record.config),
        digest=data.fingerprint[:LONGEST_DIGEST],
        source_type="effcomp",
        source=json.dumps(record.config["task"], ensure_ascii=False),
        profile=json.dumps(profile | {"fingerprint": data.fingerprint}),
    )
    inputs = [DatasetInput(dataset, [InputTag("mlflow.data.context", "train and test")])]
    try:
        client.log_inputs(run_id, inputs)
    except MlflowException:
        client.log_inputs(run_id, inputs)


def log_summary(client: "MlflowClient", run_id: str, summary: Summary) -> None:
    """Log the report of a sweep: its files, best values, the front as an image, the data of its configurations and a
    description; and the speeds of its configurations by the one reference of its table. Without files a description
    alone."""
    if summary.results is None:
        client.set_tag(run_id, NOTE_TAG, summary.description[:LONGEST_TAG])
        return
    import numpy as np
    from matplotlib.image import imread

    run = client.get_run(run_id)
    children = children_of(client, run)
    holder = log_report(client, run, summary.results)
    for name, value in summary.best.items():
        client.log_metric(run_id, f"best/{name}", value)
    if summary.front is not None:
        pixels = (imread(summary.front.with_suffix(".png"))[..., :3] * 255).round().astype(np.uint8)
        client.log_image(run_id, pixels, key="front", step=0)
    linked = [client.get_run(tag.removeprefix(LINK_TAG)) for tag in run.data.tags if tag.startswith(LINK_TAG)]
    data = {one.dataset.digest: one for each in (*children, *linked) for one in each.inputs.dataset_inputs}
    client.log_inputs(run_id, list(data.values()))
    for child in children:
        log_changed(client, child, summary.headlines.get(child.data.tags.get(RECORD_TAG, ""), {}))
    client.set_tag(run_id, NOTE_TAG, described(run, children, summary, summary.results, holder)[:LONGEST_TAG])


def log_report(client: "MlflowClient", run: "Run", results: Path) -> str:
    """Log the files of a report, unless a finished sweep has logged the same; return the id of the run that has
    them."""
    contents = folder_sha256(results)
    wanted = f"tags.{REPORT_TAG} = '{contents}' and attributes.status = 'FINISHED'"
    if there := client.search_runs([run.info.experiment_id], wanted, max_results=1):
        return str(there[0].info.run_id)
    client.log_artifacts(run.info.run_id, str(results), artifact_path=results.name)
    client.set_tag(run.info.run_id, REPORT_TAG, contents)
    return str(run.info.run_id)


def children_of(client: "MlflowClient", run: "Run") -> "list[Run]":
    """Return the finished configurations of a sweep."""
    wanted = f"tags.`{PARENT_TAG}` = '{run.info.run_id}' and attributes.status = 'FINISHED'"
    return list(client.search_runs([run.info.experiment_id], wanted))


def log_changed(client: "MlflowClient", run: "Run", numbers: Mapping[str, float]) -> None:
    """Log metrics again whose values changed; MLflow shows the latest."""
    for name, value in numbers.items():
        if run.data.metrics.get(name) != value:
            client.log_metric(run.info.run_id, name, value)


def described(run: "Run", children: "Sequence[Run]", summary: Summary, results: Path, holder: str) -> str:
    """Return the description of a sweep, with the front as an image, and links to its page, to the comparison of its
    configurations, and to runs of earlier sweeps that it did not measure again.

    Args:
        holder: id of the run that has its files.
    """
    experiment, tags = run.info.experiment_id, run.data.tags
    earlier = {tag.removeprefix(LINK_TAG): name for tag, name in sorted(tags.items()) if tag.startswith(LINK_TAG)}
    compared = [child.info.run_id for child in children] + list(earlier)
    runs, experiments = quote(json.dumps(compared)), quote(json.dumps([experiment]))
    page = f"#/experiments/{experiment}/runs/{holder}/artifacts/{results.name}/index.html?{MODEL_TRAINING}"
    comparison = f"#/compare-runs?runs={runs}&experiments={experiments}&{MODEL_TRAINING}"
    served = f"get-artifact?run_uuid={holder}&path={results.name}"  # of the server that shows this text
    parts = [  # the longest last: a tag has an end
        *([] if summary.front is None else [f"![Pareto front]({served}/{summary.front.name})\n"]),
        f"- [The page with plots and all numbers]({page})",
        f"- [The comparison of the configurations]({comparison})\n",
        summary.description,
    ]
    if earlier:
        links = [
            f"- [{name}](#/experiments/{experiment}/runs/{run_id}?{MODEL_TRAINING})" for run_id, name in earlier.items()
        ]
        parts += ["\nMeasured before, in the runs of an earlier sweep:\n", *links]
    return "\n".join(parts)


def log_numbers(client: "MlflowClient", run_id: str, result: Result) -> None:
    """Log parameters, metrics and series; headline metrics first: MLflow's comparison shows the first that it finds."""
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    logged = [Metric(name, value, now, 0) for name, value in metrics(result.record).items()]
    logged += [Metric(point.name, point.value, point.timestamp_ms, point.step) for point in series(result)]
    config = result.record.config
    named = settings(config) | {"model": model_called(config)}
    parameters = [Param(metric_name(name), str(value)[:LONGEST_PARAMETER]) for name, value in named.items()]
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
    called = record.choices | {"model": model_called(record.config), "task": task_called(record.config)}
    name = "-".join(called[group] for group in ("model", "task", "quant", "prune", "runtime"))
    model = client.create_logged_model(experiment, name=model_name(name), source_run_id=run_id, tags=called)
    described = Model(run_id=run_id, model_id=model.model_id, artifact_path=model.artifact_location)
    with tempfile.TemporaryDirectory(prefix="effcomp-") as scratch:
        folder = Path(scratch) / "model"
        sources = save_served(artifact, runtime, quant.packages, described, folder)
        client.log_model_artifacts(model.model_id, str(folder))
    if model.artifact_location.startswith("file:"):
        folder = local_path(model.artifact_location)
        share_files(artifact, folder / "data" / artifact.name)
        share_files(sources, folder / "code" / sources.name)
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    model_id: str = model.model_id
    return model_id


def local_path(uri: str) -> Path:
    """Return the folder of a `file:` URI."""
    return Path(unquote(urlsplit(uri).path))


def share_files(original: Path, copy: Path) -> None:
    """Replace the files of a copy by hard links, so that the store's weights and MLflow's take their space once. Files
    on another file system, or on one without links, stay copies."""
    for file in original.rglob("*"):
        linked = copy / file.relative_to(original)
        if linked.is_file():
            with contextlib.suppress(OSError), tempfile.TemporaryDirectory(dir=copy) as scratch:
                link = Path(scratch) / file.name
                link.hardlink_to(file)
                link.replace(linked)
