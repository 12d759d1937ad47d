"""The one rule by which names suit MLflow, whatever labels, tasks and models are called.

MLflow takes letters, digits and a few signs in the names of metrics and parameters, fewer in those of logged models,
and 250 characters. True names stand in the record and in the run's tags.
"""

import re
from hashlib import sha256

LONGEST = 250
LONGEST_TAG = 5000
PARENT_TAG = "mlflow.parentRunId"
RECORD_TAG = "record"
"""The sha256 of the Record, by which a run that was logged is known."""
NOTE_TAG = "mlflow.note.content"
"""Description that MLflow's pages show."""
REPORT_TAG = "report"
"""The sha256 of the report that a sweep logged, by which the same report of a later sweep is known."""
LINK_TAG = "run."
"""Beginning of the tags of a sweep that name runs of an earlier one."""
METRIC = re.compile(r"[^A-Za-z0-9_. -]")
MODEL = re.compile(r"[^A-Za-z0-9_ -]")


def metric_name(name: str) -> str:
    """Return a dotted name as MLflow takes it for a metric or a parameter."""
    return suited(name, METRIC)


def model_name(name: str) -> str:
    """Return a name as MLflow takes it for a logged model: without dots, slashes and colons."""
    return suited(name, MODEL)


def suited(name: str, refused: re.Pattern[str]) -> str:
    """Return the name with `_` for each character that is refused; a changed or cut name ends in 8 digits of its hash,
    so that two names stay two."""
    changed = refused.sub("_", name).strip()
    if changed == name and len(name) <= LONGEST:
        return name
    return f"{changed[: LONGEST - 9]}_{sha256(name.encode()).hexdigest()[:8]}"
