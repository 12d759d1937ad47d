"""python -m effcomp.run: compose a configuration with Hydra, run it, print its Record."""

import contextlib
import logging
import os
import shutil
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import MissingConfigException
from hydra.types import RunMode

from effcomp.errors import EXIT_CODE, UserError
from effcomp.record import RECORD_FILE
from effcomp.sweep import SweepCallback, record_outcome

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from effcomp.pipeline import Result

CONF = Path(__file__).resolve().parent.parent / "conf"
log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(config: "DictConfig") -> None:
    """One configuration. In a sweep an error of one is written down, and the others go on.

    No exception leaves this function: Hydra would add lines of its own, and `main` could not tell a fault
    of the command from a fault in the run.
    """
    settings = HydraConfig.get()
    folder = Path(settings.runtime.output_dir)
    if settings.mode == RunMode.MULTIRUN:
        with record_outcome(folder):
            execute(config, folder, Path(settings.sweep.dir))
    else:
        try:
            execute(config, folder, None)
        except UserError as error:
            remove(folder)
            refuse(str(error))
        except Exception:
            traceback.print_exc()
            sys.exit(1)


def execute(config: "DictConfig", folder: Path, sweep: Path | None) -> None:
    """Build and check the parts, run them, and leave the record in the folder, in MLflow and on stdout."""
    from effcomp.compose import build, check

    parts = build(config)
    check(parts)
    with output_to_stderr() as stdout:
        from effcomp.pipeline import run
        from effcomp.sweep import parent_run

        result = run(parts)
        (folder / RECORD_FILE).write_text(result.record.to_json() + "\n")
        result.write_raw(folder)
        print(result.record.to_json(), file=stdout, flush=True)
        parts.tracking.log(result, parts.label, parent_run(sweep))
        summarise(result, folder)


def remove(folder: Path) -> None:
    """Take away what Hydra wrote for a run that was refused, and the folders that are then empty; a folder that
    holds anything else stays."""
    shutil.rmtree(folder / ".hydra", ignore_errors=True)
    (folder / "run.log").unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()
        folder.parent.rmdir()


def summarise(result: "Result", folder: Path) -> None:
    from effcomp.report.rows import rows
    from effcomp.report.words import doubts, verdict

    row = rows([result.record])[0]
    log.info("%s", verdict(row))
    for doubt in doubts(row):
        log.warning("%s", doubt)
    log.info("record: %s", folder / RECORD_FILE)


@contextlib.contextmanager
def output_to_stderr() -> Iterator[TextIO]:
    """Libraries print to standard output; it belongs to the record, so their words go to standard error."""
    stdout: TextIO = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        yield stdout


def main() -> None:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra would print a traceback and exit with 1; we answer in one line
    # A load report for the new head, and bars for reading 100 tensors, say nothing that a user can act on.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        job()
    except Exception as error:  # of Hydra's, before any job: the command does not compose
        refuse(explain(error))
    except KeyboardInterrupt:
        print("interrupted: what was finished is kept and will not be computed again", file=sys.stderr)
        sys.exit(130)
    finally:
        SweepCallback.abandon()
    sys.exit(SweepCallback.exit_code)


def refuse(reason: str) -> NoReturn:
    print(f"error: {' '.join(reason.split())}", file=sys.stderr)
    sys.exit(EXIT_CODE)


def explain(error: Exception) -> str:
    """What Hydra found wrong with the command, and the way on."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        return f"{group}={choice}: there is no such choice; choose one of: {', '.join(sorted(error.options))}"
    reason = str(error).partition("To append to your config")[0].partition("See https")[0].strip()
    return f"{reason} (--help shows the groups, --cfg job every setting)"


if __name__ == "__main__":
    main()
