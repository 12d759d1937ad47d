"""Folder of a sweep, through which its jobs communicate: they may run in other processes.

sweep.json names the parent run. Each job has a folder that holds its record.json or, where it has none, outcome.json
with the reason.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from effcomp.core.errors import Skipped
from effcomp.core.store import key_hash, write_at_once

SWEEP_FILE = "sweep.json"
OUTCOME_FILE = "outcome.json"
ANSWER_TEXT, ANSWER_FILE, SEARCH_FIGURE = "answer.txt", "answer.json", "search.png"
"""Files of a report with the answer of a search, and its figure."""
MODEL_FILE = "model_id.txt"
"""File with the id of a configuration's model in MLflow, where one was logged."""
NOT_LOGGED = "not logged"
"""Status of a configuration whose record is in its folder, and not in MLflow."""
CLAIMS_FOLDER = "claims"
"""Folder with a file for each configuration, named by its hash, that holds the number of the job that runs it."""
OVERRIDES_FILE = ".hydra/overrides.yaml"
"""File that Hydra writes into a configuration's folder when it begins."""


@dataclass(frozen=True)
class SweepDescription:
    """Content of sweep.json, which every job of a sweep reads."""

    name: str
    parent_run: str | None
    """MLflow parent run; None where nothing is tracked, or the server did not answer."""
    uri: str | None
    """Tracking URI of the parent run; None where nothing is tracked."""
    common: tuple[str, ...] = ()
    """Overrides that all configurations share, as Hydra's sweeper hands them on."""
    configurations: int = 0
    """Number of configurations; for a search its maximum."""

    def write(self, folder: Path) -> None:
        write_at_once(folder / SWEEP_FILE, json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> "SweepDescription":
        return cls(**json.loads((folder / SWEEP_FILE).read_text()))


def in_order(folder: Path, name: str) -> list[Path]:
    """Return the files of this name in the folders of the configurations, as these were numbered."""
    files = folder.glob(f"*/{name}")
    return sorted(files, key=lambda file: (len(number := file.relative_to(folder).parts[0]), number))


def claim(sweep: Path, folder: Path, config: dict[str, Any]) -> None:
    """Write a claim of this configuration into the sweep's folder.

    Raises:
        Skipped: another job of the sweep has an equal configuration.
    """
    claims = sweep / CLAIMS_FOLDER
    claims.mkdir(exist_ok=True)
    file, own = claims / key_hash(config), claims / folder.name
    own.write_text(folder.name)
    try:
        os.link(own, file)  # at once with its content, and only where there is none
    except FileExistsError as error:
        first = file.read_text()
        if first != folder.name:  # its own: the launcher has started it again
            raise Skipped(f"the same configuration as number {first}", same_as=first) from error


def model_id(folder: Path) -> str | None:
    """Return the id of a configuration's model in MLflow; None where none was logged."""
    file = folder / MODEL_FILE
    return file.read_text() if file.exists() else None


def parent_run(folder: Path | None) -> str | None:
    """Return the MLflow parent run of a sweep's folder; None outside a sweep or where nothing is tracked."""
    return None if folder is None else SweepDescription.read(folder).parent_run
