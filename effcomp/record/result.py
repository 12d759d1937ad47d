"""A finished run as files: the Record, every single time, and the series that go beside it."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effcomp.core.store import MANIFEST, Store, write_at_once
from effcomp.record import RECORD_FILE, Record
from effcomp.record.trace import GpuSample, Sample

RAW_FILE = "times.npz"
SERIES_FILE = "series.json"
TEXTS_FILE = "texts.jsonl"


def run_folders(folder: Path) -> list[Path]:
    """Return the folders of runs below this one, by name, without the store's copies of them, which have a manifest."""
    records = sorted(file for file in folder.rglob(RECORD_FILE) if file.is_file())
    return [record.parent for record in records if not record.with_name(MANIFEST).exists()]


def stored_results(store: Path) -> Iterator[tuple[Path, Record]]:
    """Yield the folder and the record of each result in a store, by name; without those that this version cannot read:
    damaged, of a later version, or just replaced."""
    for file in sorted(store.glob(f"result/*/{RECORD_FILE}")):
        try:
            yield file.parent, Record.read(file)
        except (OSError, ValueError):
            continue


def stored_artifact(record: Record) -> Path | None:
    """Return the artifact that was measured, in the store of the run; None where it is missing or changed.

    Raises:
        ValueError: the record names no artifact of a store.
    """
    return Store(Path(record.config["store"])).find("artifact", record.truth.artifact)


@dataclass(frozen=True)
class RecordText:
    """A record as it was found, not parsed yet."""

    place: str
    """Its place, for messages."""
    record: str
    """One line of JSON."""
    series: str | None
    """Content of SERIES_FILE beside it, where there is one."""


@dataclass(frozen=True)
class Result:
    """A finished run: its Record and everything that is kept beside it."""

    record: Record
    training_curve: list[dict[str, Any]]
    recovery_curve: list[dict[str, Any]]
    """Curve of the training after pruning; empty without one."""
    trace: list[Sample]
    """Resource trace of the measured process."""
    raw: dict[str, NDArray[np.float64]]
    """Milliseconds of every call, (turns, calls), by what was called."""
    texts: list[dict[str, str]]
    """Generation tasks: each prompt, its reference, and the texts of baseline and variant; else empty."""
    started_ms: int
    """Start of the run, Unix time in milliseconds."""
    ended_ms: int

    def write(self, folder: Path) -> None:
        """Write times.npz (numpy's compressed format), texts.jsonl where there are texts, series.json and record.json;
        the record last and at once, so that where there is one, all are whole."""
        np.savez_compressed(folder / RAW_FILE, allow_pickle=False, **self.raw)
        series = {
            "training_curve": self.training_curve,
            "recovery_curve": self.recovery_curve,
            "trace": [asdict(sample) for sample in self.trace],
            "started_ms": self.started_ms,
            "ended_ms": self.ended_ms,
        }
        if self.texts:
            (folder / TEXTS_FILE).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.texts))
        (folder / SERIES_FILE).write_text(json.dumps(series) + "\n")
        write_at_once(folder / RECORD_FILE, self.record.to_json() + "\n")

    @classmethod
    def read(cls, folder: Path) -> "Result":
        """Read the files that `write` wrote.

        Raises:
            OSError: a file is missing.
            ValueError: one is damaged, or of a version that this one does not read.
        """
        series = json.loads((folder / SERIES_FILE).read_text())
        trace = [Sample(**row | {"gpu": GpuSample(**row["gpu"]) if row["gpu"] else None}) for row in series["trace"]]
        with np.load(folder / RAW_FILE, allow_pickle=False) as stored:
            raw = dict(stored)
        # str.splitlines would cut a text at U+2028 too, which JSON leaves as it is.
        lines = file.read_text().split("\n")[:-1] if (file := folder / TEXTS_FILE).exists() else []
        texts = [json.loads(line) for line in lines]
        return cls(Record.read(folder / RECORD_FILE), **series | {"trace": trace}, raw=raw, texts=texts)
