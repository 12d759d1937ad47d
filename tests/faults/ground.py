"""Folder in which a sweep is hurt, and the files and processes that it left there."""

import contextlib
import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import psutil
import pytest

from effcomp.core.store import MANIFEST
from effcomp.record import Record
from effcomp.tracking.names import LINK_TAG
from tests.conftest import Ran, run_effcomp, start_effcomp
from tests.forks import ROOT, Started

TIMED = (
    "latency",
    "speed-up",
    "speedup",
    "speed.",
    "memory",
    "load",
    "calls",
    "floor",
    "rss",
    "pss",
    "_ms",
    "_s",
    "conditions",
    "rates",
    "notes",
)
"""Parts of the names of columns that differ from one measurement to the next."""


@dataclass(frozen=True)
class Left:
    """All that must not depend on what happened on the way."""

    table: list[dict[str, str]]
    """The final comparison table, without what is a time or a memory."""
    artifacts: list[tuple[str, str]]
    """Hashes of the artifact and of the baseline's, by record."""
    files: dict[str, str]
    """The sha256 of every file of every stored artifact, by its path in the store."""
    quality: list[Any]


@dataclass(frozen=True)
class Ground:
    """A folder to run sweeps in. Its temporary folder is its own (TMPDIR): so are locks, leftovers and processes."""

    folder: Path
    temporary: Path
    overrides: tuple[str, ...]

    @property
    def store(self) -> Path:
        return self.folder / "multirun/store"

    def run(self, *more: str) -> Ran:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TMPDIR", str(self.temporary))
            return run_effcomp("-m", *self.overrides, *more, cwd=self.folder)

    def start(self, *more: str) -> Started:
        """The same, left running, in a process group of its own."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TMPDIR", str(self.temporary))
            return start_effcomp("-m", *self.overrides, *more, cwd=self.folder, own_group=True)

    def start_afresh(self) -> "psutil.Popen":
        """The same, in processes that Python starts."""
        return psutil.Popen(
            [sys.executable, "-m", "effcomp.run", "-m", *self.overrides],
            cwd=self.folder,
            env=os.environ | {"TMPDIR": str(self.temporary), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def sweeps(self) -> list[Path]:
        """The folders of its sweeps, in their order."""
        return sorted(file.parent for file in self.folder.glob("multirun/2*/*/sweep.json"))

    def processes(self) -> list[psutil.Process]:
        """The processes that were started here and are still there; a forked one shows the environment of another."""
        found = []
        for process in psutil.process_iter():
            try:
                here = process.cwd() == str(self.folder) or process.environ().get("TMPDIR") == str(self.temporary)
                if here and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def wait_until_quiet(self, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while alive := self.processes():
            assert time.monotonic() < end, f"orphans: {[process.cmdline() for process in alive]}"
            time.sleep(0.1)

    def left(self) -> Left:
        """Return the contents of the last sweep and of the store."""
        sweep = self.sweeps()[-1]
        with (sweep / "results/comparison_table.csv").open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        table = [{name: row[name] for name in row if not any(part in name for part in TIMED)} for row in rows]
        records = [Record.read(file) for file in sorted(sweep.glob("*/record.json"))]
        return Left(
            table,
            [(record.truth.artifact, record.truth.baseline_artifact) for record in records],
            artifact_files(self.store),
            [record.quality for record in records],
        )

    def copy(self, folder: Path) -> "Ground":
        """Another one, with all that was stored here; MLflow's database is a new one."""
        folder.mkdir()
        shutil.copytree(self.store, folder / "multirun/store")
        return new_ground(folder, self.overrides)

    def open_runs(self) -> list[str]:
        """The names of the runs that MLflow holds as RUNNING."""
        client = mlflow.MlflowClient(f"sqlite:///{self.folder}/mlruns/mlflow.db")
        experiment = client.get_experiment_by_name("effcomp")
        runs = client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'")
        return [run.info.run_name for run in runs]

    def logged_under_last_sweep(self) -> int:
        """Return the number of finished runs that stand under the parent of the last sweep, or are linked there."""
        client = mlflow.MlflowClient(f"sqlite:///{self.folder}/mlruns/mlflow.db")
        parent = json.loads((self.sweeps()[-1] / "sweep.json").read_text())["parent_run"]
        last = client.get_run(parent)
        assert last.info.status == "FINISHED"
        links = sum(tag.startswith(LINK_TAG) for tag in last.data.tags)
        experiment = client.get_experiment_by_name("effcomp")
        children = client.search_runs([experiment.experiment_id], f"tags.mlflow.parentRunId = '{parent}'")
        return links + sum(run.info.status == "FINISHED" for run in children)


def new_ground(folder: Path, overrides: tuple[str, ...]) -> Ground:
    temporary = folder / "tmp"
    temporary.mkdir()
    return Ground(folder, temporary, overrides)


@contextlib.contextmanager
def mounted(folder: Path, *arguments: str) -> Iterator[None]:
    """`mount ARGUMENTS FOLDER`; where this process may not mount anything, the test is skipped."""
    tried = subprocess.run(["mount", *arguments, str(folder)], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"this process may not mount: {tried.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nobody, root included, can write there; what lies there can be read."""
    with mounted(folder, "--bind", str(folder)):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield


def artifact_files(store: Path) -> dict[str, str]:
    manifests = {file.parent.name: json.loads(file.read_text()) for file in store.glob(f"artifact/*/{MANIFEST}")}
    return {f"{name}/{file}": of["sha256"] for name, one in manifests.items() for file, of in one["files"].items()}
