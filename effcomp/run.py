"""python -m effcomp.run: compose a configuration with Hydra, run it, print its Record."""

import contextlib
import gc
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf

from effcomp import __version__
from effcomp.core.callable_module import CallableModule
from effcomp.core.command_line import discard_stdout, expand_home, refuse
from effcomp.core.errors import UserError
from effcomp.core.failure import failure_line
from effcomp.core.garbage import collect_seldom
from effcomp.core.packages import CONF
from effcomp.core.private.hydra import compose_once, get_args_parser
from effcomp.core.process import take_stdout
from effcomp.pipeline.suggest import explain, not_utf8, several_choices, wrong_option
from effcomp.record import RECORD_FILE, Record
from effcomp.sweep.callback import SweepCallback
from effcomp.sweep.job import execute, quieten, run_in_sweep

if TYPE_CHECKING:
    from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(config: "DictConfig") -> str:
    """Run one configuration and return its folder. A sweep records an error of one configuration and continues.

    No exception leaves this function: Hydra would add lines of its own, and `main` could not distinguish an error of
    the command from an error in the run.
    """
    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    if hydra_config.mode == RunMode.MULTIRUN:
        run_in_sweep(config, hydra_config)
        return str(folder)
    try:
        if params := hydra_config.sweeper.get("params"):
            raise UserError(f"this is a sweep over {', '.join(params)}: add -m")
        records = take_stdout()
        finished = execute(config, folder, None)
        say_end(folder, finished.model_id)
        if not records.isatty():  # a person reads above where it lies
            print((folder / RECORD_FILE).read_text(), end="", file=records, flush=True)
        if finished.not_logged is not None:
            print(f"error: {finished.not_logged}", file=sys.stderr)
            sys.exit(1)
    except UserError as error:
        remove(folder, Path(hydra_config.runtime.cwd))
        refuse(str(error))
    except Exception as error:
        print(f"error: {failure_line(error, folder)}", file=sys.stderr)
        sys.exit(1)
    return str(folder)


def say_end(folder: Path, model_id: str | None) -> None:
    """Print the verdict of a run, its numbers and the next commands, for a person.

    Args:
        model_id: id of the model that was logged to MLflow; None where none was.
    """
    from effcomp.pipeline.again import ways_on
    from effcomp.report.table.ending import ending

    record = Record.read(folder / RECORD_FILE)
    print(f"\n{ending(record)}\n\n{ways_on(record, folder, model_id)}", file=sys.stderr)


def settings_text(*, _root_: "DictConfig") -> str:
    """Return the settings of the composed config with their meanings, for the template of --help."""
    from effcomp.pipeline.explanation import explain_config

    return explain_config(_root_).replace("$", "$$")


def remove(folder: Path, cwd: Path) -> None:
    """Remove Hydra's files of a refused run, and the folders below cwd that are then empty; a folder with other files
    stays."""
    shutil.rmtree(folder / ".hydra", ignore_errors=True)
    (folder / "run.log").unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        for empty in (folder, *folder.parents):
            if cwd not in empty.parents:
                break
            empty.rmdir()


def main() -> None:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra would print a traceback and exit with 1; we answer in one line
    quieten()
    collect_seldom()
    OmegaConf.register_new_resolver("effcomp_settings", settings_text, replace=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was begun is closed
    if "--version" in sys.argv:  # else Hydra would say its own
        print(f"effcomp {__version__}")
        return
    parser = get_args_parser()
    # A line in place of the usage and a line.
    parser.error = lambda message: refuse(wrong_option(message, parser.format_usage()))  # type: ignore[method-assign]
    arguments = parser.parse_intermixed_args()
    for word in arguments.overrides:
        if message := not_utf8(word) or several_choices(word):
            refuse(message)
    # Hydra takes no option between them.
    words = sorted(sys.argv[1:], key=lambda word: word not in arguments.overrides)
    sys.argv[1:] = map(expand_home, words)
    compose_once(arguments)
    try:
        job()
    except BrokenPipeError:  # the reader of --help or --cfg has gone
        discard_stdout()
    except Exception as error:
        if SweepCallback.sweep is None or isinstance(error, HydraException):  # the command does not compose
            refuse(explain(error))
        line = failure_line(error, SweepCallback.sweep.folder)  # the launcher's own
        print(f"error: {line}", file=sys.stderr)
        SweepCallback.finish(line)
        sys.exit(SweepCallback.failure)
    except KeyboardInterrupt:
        print("interrupted: what was finished is kept and will not be computed again", file=sys.stderr)
        sys.exit(130)
    finally:
        SweepCallback.abandon()
        gc.freeze()  # the last collection would visit all that the libraries define, for a second
    sys.exit(SweepCallback.exit_code)


sys.modules[__name__].__class__ = CallableModule

if __name__ == "__main__":
    main()
