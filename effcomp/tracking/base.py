"""Interface of tracking: where runs are logged."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from effcomp.core.component import Component

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from effcomp.record.result import Result


@dataclass(frozen=True)
class Summary:
    """Report of a sweep for its parent run."""

    results: Path | None
    """Folder of the report; None where no configuration came through."""
    description: str
    """Markdown: the table of the configurations, and what was left out and why."""
    headlines: dict[str, dict[str, float]]
    """Headline numbers of each configuration as the table shows them, by the hash of its Record: a run alone cannot
    know the reference that the speeds of a sweep are compared by."""
    best: dict[str, float]
    """Best value of each headline number among the configurations."""
    front: Path | None
    """SVG of the Pareto front, in the folder of the report; a PNG of the same name stands beside it."""


class ServerUnreachable(Exception):
    """The tracking server does not answer. What was to be logged is on disk, and `effcomp upload` sends it."""


class Tracking(Component):
    """Base class of places that runs are logged in."""

    uri: str | None = None
    """URI of the tracking store; None where there is none."""

    @abstractmethod
    def check(self) -> None:
        """Raise UserError when the settings cannot work; makes nothing, and takes no time."""

    @abstractmethod
    def prepare(self) -> None:
        """Raise UserError when runs cannot be logged; makes the database where there is none."""

    @abstractmethod
    def start_sweep(self, name: str, started_ms: int | None = None) -> str | None:
        """Open the parent run of a sweep; its id, or None when nothing is tracked.

        Args:
            started_ms: time of its start; None for now.

        Raises:
            ServerUnreachable: the server does not answer.
        """

    @abstractmethod
    def log(
        self, result: "Result", artifact: Path | None, figures: "Mapping[str, Figure]", parent: str | None
    ) -> str | None:
        """Log one finished run, under its parent where there is one; return the id of the model that it logged, if any.

        Args:
            artifact: the folder of the compressed model; None where it is no longer in the store.
            figures: figures of the result by name, logged as NAME.png.

        Raises:
            ServerUnreachable: the server does not answer.
        """

    @abstractmethod
    def log_failure(self, name: str, reason: str, parent: str | None) -> None:
        """Log a configuration that failed as a failed run with its reason.

        Raises:
            ServerUnreachable: the server does not answer.
        """

    @abstractmethod
    def end_sweep(self, parent: str | None, summary: Summary | None, failed: bool, ended_ms: int | None = None) -> None:
        """Close the parent run, with the sweep's report where there is one. One that was closed keeps its end.

        Args:
            ended_ms: time of its end; None for now.

        Raises:
            ServerUnreachable: the server does not answer.
        """

    @abstractmethod
    def how_to_open(self) -> str:
        """Return where the data is and the command that opens it, for a person."""


class NoTracking(Tracking):
    """Log nowhere: the record is on disk, and MLflow need not be installed."""

    id: ClassVar[str] = "tracking/none"

    def check(self) -> None:
        return

    def prepare(self) -> None:
        return

    def start_sweep(self, name: str, started_ms: int | None = None) -> str | None:
        return None

    def log(
        self, result: "Result", artifact: Path | None, figures: "Mapping[str, Figure]", parent: str | None
    ) -> str | None:
        return None

    def log_failure(self, name: str, reason: str, parent: str | None) -> None:
        return

    def end_sweep(self, parent: str | None, summary: Summary | None, failed: bool, ended_ms: int | None = None) -> None:
        return

    def how_to_open(self) -> str:
        return "MLflow    not used (tracking=none)"
