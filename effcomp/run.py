"""python -m effcomp.run: compose a configuration with Hydra, run it, print its Record."""

import contextlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

from effcomp.errors import EXIT_CODE, UserError
from effcomp.sweep import SweepCallback, record_outcome

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from effcomp.pipeline import Result

CONF = Path(__file__).resolve().parent.parent / "conf"
log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(config: "DictConfig") -> None:
    """One configuration. In a sweep an error of one is written down, and the others go on."""
    settings = HydraConfig.get()
    folder = Path(settings.runtime.output_dir)
    if settings.mode == RunMode.MULTIRUN:
        with record_outcome(folder):
            execute(config, folder, Path(settings.sweep.dir))
    else:
        execute(config, folder, None)


def execute(config: "DictConfig", folder: Path, sweep: Path | None) -> None:
    """Build and check the parts, run them, and leave the record in the folder, in MLflow and on stdout."""
    from effcomp.compose import build, check

    parts = build(config)
    check(parts)
    with output_to_stderr() as stdout:
        from effcomp.pipeline import run
        from effcomp.sweep import parent_run

        quieten_libraries()
        result = run(parts)
        (folder / "record.json").write_text(result.record.to_json() + "\n")
        parts.tracking.log(result, parts.label, parent_run(sweep))
        summarise(result, folder)
    print(result.record.to_json(), file=stdout, flush=True)


def summarise(result: "Result", folder: Path) -> None:
    from effcomp.report.table import verdict

    log.info("%s", verdict(result.record))
    log.info("record: %s", folder / "record.json")


@contextlib.contextmanager
def output_to_stderr():
    """Libraries print to standard output; it belongs to the record, so their words go to standard error."""
    stdout: TextIO = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        yield stdout


def quieten_libraries() -> None:
    """A load report for the new head, and bars for reading 100 tensors, say nothing that a user can act on."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def main() -> None:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra would print a traceback and exit with 1; we answer in one line
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        job()
    except (UserError, HydraException, OmegaConfBaseException) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        sys.exit(EXIT_CODE)
    sys.exit(SweepCallback.exit_code)


def one_line(error: Exception) -> str:
    """The words of an error on one line; Hydra spreads the choices of a group over many."""
    return " ".join(str(error).split())


if __name__ == "__main__":
    main()
