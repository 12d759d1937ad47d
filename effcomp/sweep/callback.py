"""Sweep callback: open the parent run before the configurations of a multirun, write the report after them.

The sweepers (hydra_plugins/) call `SweepCallback.begin` when they have composed every configuration, and Hydra calls
the rest of it (conf/config.yaml). The jobs of a sweep may run in other processes, so they meet in the sweep's folder:
sweep.json names the parent run, and each job's folder holds its record.json or, where it has none, outcome.json with
the reason.
"""

import contextlib
import shutil
import sys
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from effcomp.core.errors import REFUSED, UserError
from effcomp.core.failure import failure_line
from effcomp.sweep.folder import OVERRIDES_FILE, in_order
from effcomp.sweep.lifecycle import PrintedAnswer, Sweep, begin, close_parent, finish


class SweepCallback(Callback):
    """Callback of Hydra for sweeps. Hydra turns an exception in a callback into a warning; here it is reported, and the
    command fails."""

    exit_code: ClassVar[int] = 0
    """Exit code of `effcomp.run.main`: 0; 2 when configurations were refused; 1 when any failed; that of an answer."""
    sweep: ClassVar[Sweep | None] = None
    failure: ClassVar[int] = 1
    """Exit code of a command that fails: 1; 4 of a search, whose 1 says that every candidate breaks a limit."""
    answer: ClassVar[PrintedAnswer | None] = None
    """Answer of a search, which is printed after the report."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Refuse Hydra's own sweeper, which would run configurations of a sweep that did not begin."""
        if not config.hydra.sweeper._target_.startswith("hydra_plugins.effcomp_"):
            choice = config.hydra.runtime.choices["hydra/sweeper"]
            print(f"error: hydra/sweeper={choice}: use hydra/sweeper=product, optuna or find", file=sys.stderr)
            sys.exit(REFUSED)

    @classmethod
    def begin(cls, config: DictConfig, configurations: int, name: str | None = None, failure: int = 1) -> None:
        """Begin the sweep before its first configuration. Nothing is written earlier, so that a command that does not
        compose leaves no files.

        Args:
            configurations: their number; for a search its maximum.
            name: of the parent run; None for the overrides that vary.
            failure: exit code of a command that fails.
        """
        cls.failure = failure
        try:
            cls.sweep = begin(config, configurations, name)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(REFUSED)
        except Exception as error:
            print(f"error: {failure_line(error, Path(config.hydra.sweep.dir))}", file=sys.stderr)
            sys.exit(failure)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        """Drop the job's configs: Hydra keeps each job's return, with two copies of its config, until the last has
        ended.
        """
        job_return.cfg = job_return.hydra_cfg = None

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        self.finish()

    @classmethod
    def finish(cls, said: str = "") -> None:
        """Report on the configurations that finished, also where the launcher itself has failed.

        Args:
            said: the line that tells the launcher's failure, which the report may meet again (a full disk).
        """
        sweep = cls.sweep
        assert sweep is not None, "a sweep that did not begin does not end"
        try:
            cls.exit_code = finish(sweep, cls.answer, failure_said=bool(said))
            cls.sweep = None
        except Exception as error:
            if (line := failure_line(error, sweep.folder)) != said:
                print(f"error: {line}", file=sys.stderr)
            cls.exit_code = cls.failure

    @classmethod
    def abandon(cls) -> None:
        """Close the parent run of an interrupted sweep as failed; remove the folder of one without a configuration."""
        sweep, cls.sweep = cls.sweep, None
        if sweep is None:
            return
        close_parent(sweep, [], failed=True)
        if not in_order(sweep.folder, OVERRIDES_FILE):
            shutil.rmtree(sweep.folder)
            with contextlib.suppress(OSError):
                for empty in sweep.folder.parents[:2]:
                    empty.rmdir()
