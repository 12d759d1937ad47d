"""Python interface: effcomp.run, effcomp.sweep, effcomp.records, effcomp.load.

>>> import effcomp
>>> result = effcomp.run(["quant=int8_dynamic"])             # fine-tune, compress, measure
>>> result.record.speed.speedup.value                        # times the speed of the float32 baseline
>>> effcomp.load(result)(["a great film"])                   # [{"label": "positive", "negative": ..., ...}]
>>> effcomp.sweep(["quant=none,bf16,nf4"])                   # a Result for each configuration
>>> effcomp.records("multirun")                              # a pandas.DataFrame, a row a record
"""

import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from effcomp.core.errors import UserError
from effcomp.core.process import python_path

if TYPE_CHECKING:
    import pandas as pd

    from effcomp.record.result import Result
    from effcomp.runtimes.base import Runtime
    from effcomp.runtimes.predictor import Predictor

log = logging.getLogger(__name__)

MULTIRUN = Path("multirun")


def run(overrides: Sequence[str] = ()) -> "Result":
    """Measure one configuration, in this process; entries of the store are reused.

    Args:
        overrides: as on the command line: `["quant=nf4", "finetune.epochs=3"]`.

    Returns:
        The result, which also lies in multirun/DATE/TIME and in the tracking store of the configuration.

    Raises:
        UserError: the configuration cannot work; the message names the value and the fix.
    """
    from hydra.errors import HydraException

    from effcomp.pipeline.compose import composed
    from effcomp.pipeline.suggest import explain
    from effcomp.sweep.job import execute, quieten

    quieten()
    try:
        config = composed(overrides)
    except HydraException as error:
        raise UserError(explain(error)) from error
    folder = new_folder()
    folder.mkdir(parents=True)
    try:
        finished = execute(config, folder, None)
        if finished.not_logged is not None:
            log.warning("%s", finished.not_logged)
        return finished.result
    finally:
        with contextlib.suppress(OSError):  # one that holds something stays
            for empty in (folder, folder.parent, MULTIRUN):
                empty.rmdir()


def sweep(overrides: Sequence[str]) -> "list[Result]":
    """Measure every combination of choices, each in a process of its own, and write the report.

    Args:
        overrides: as on the command line; commas make the sweep: `["quant=none,bf16,nf4", "seed=0,1"]`.

    Returns:
        The results in the order of the combinations, without those that failed or do not fit together; these are named
        on standard error.

    Raises:
        UserError: no configuration came through.
    """
    from effcomp.record.result import Result, run_folders

    folder, reasons = new_folder(), []
    with start_sweep([*overrides, f"hydra.sweep.dir=${{hydra.runtime.cwd}}/{folder}"]) as process:
        assert process.stderr is not None
        for line in process.stderr:
            print(line, end="", file=sys.stderr)
            if line.startswith(("left out: ", "error: ")):
                reasons.append(line.strip().partition(": ")[2])
    folders = run_folders(folder) if folder.is_dir() else []
    if not folders:
        raise UserError(reasons[0] if reasons else f"the sweep ended with exit code {process.returncode}")
    return [Result.read(one) for one in sorted(folders, key=lambda one: (len(one.name), one.name))]


def start_sweep(overrides: list[str]) -> "subprocess.Popen[str]":
    """Start a sweep in a process of its own, whose standard error can be read."""
    return subprocess.Popen(
        [sys.executable, "-m", "effcomp.run", "-m", *overrides],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": python_path()},
    )


def records(source: str | Path = MULTIRUN) -> "pd.DataFrame":
    """Read records as a table.

    Args:
        source: a folder (all records below it), a file with a record on each line, or the URI of an MLflow store.

    Returns:
        A row a record, the baseline first: when it was measured, the hash of its artifact, the choice of each group,
        every setting (`quant.block_size`), and every number by its path in the Record (`speed.speedup`), an interval's
        bounds beside it (`speed.speedup.low`, `speed.speedup.high`).

    Raises:
        UserError: the source has no record, or one is damaged.
    """
    import pandas as pd

    from effcomp.record import settings
    from effcomp.report.sources import find

    found = [one.record for one in find([str(source)])]
    return pd.DataFrame(
        {
            "time": record.truth.time,
            "artifact": record.truth.artifact,
            **settings(record.config),
            **record.metrics(),
        }
        for record in found
    )


def load(source: "str | Path | Result", runtime: "Runtime | None" = None, device: str = "cpu") -> "Predictor":
    """Load a compressed model, with the runtime that its files are for.

    Args:
        source: an artifact's folder (multirun/store/artifact/HASH, or a copy), the folder of a run, or a Result.
        runtime: another runtime that reads the same files, such as that of `runtime=compile`.
        device: `cpu`, `cuda`, or `auto` for CUDA where there is a GPU.

    Returns:
        A function from texts (or pairs of texts, or rows of a table) to answers: labels with their probabilities,
        losses, or generated texts. See effcomp.runtimes.predictor.Predictor.

    Raises:
        UserError: there is no artifact, it was changed since it was stored, or its library is not installed.
    """
    from effcomp.runtimes.predictor import Predictor

    return Predictor(artifact_of(source), runtime, device)


def artifact_of(source: "str | Path | Result") -> Path:
    """Return the folder of the artifact of a run, or the folder that was given.

    Raises:
        UserError: the artifact is no longer in the store.
    """
    from effcomp.record import RECORD_FILE, Record
    from effcomp.record.result import stored_artifact

    if isinstance(source, str | Path):
        if not (Path(source) / RECORD_FILE).is_file():
            return Path(source)
        record = Record.read(Path(source) / RECORD_FILE)
    else:
        record = source.record
    found = stored_artifact(record)
    if found is None:
        missing = f"{record.config['store']}/artifact/{record.truth.artifact} is not there"
        raise UserError(f"{missing}: go to the folder where the command ran, or run the configuration again")
    return found


def new_folder() -> Path:
    """Return the name of a folder for a run that starts now, in the pattern of the command line."""
    now = datetime.now()
    return MULTIRUN / f"{now:%Y-%m-%d}" / f"{now:%H-%M-%S-%f}"
