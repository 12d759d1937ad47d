"""Progress of a stage on standard error: a bar on a terminal, a line each ten seconds elsewhere, with the time left."""

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from effcomp.core.closing import Closing

if TYPE_CHECKING:
    from tqdm import tqdm

LINE_S = 10.0
"""Time between two lines where no bar can be drawn."""


class Progress(Closing):
    """Progress of a stage whose amount of work is known. Use it as a context manager."""

    def __init__(self, what: str, total: float) -> None:
        """Begin a stage.

        Args:
            what: name of the stage: `fine-tuning`.
            total: amount of work, in any unit.
        """
        self.what, self.total, self.done, self.detail = what, total, 0.0, ""
        self.began = self.said = time.monotonic()
        style = "{desc}: {percentage:3.0f} % |{bar:30}| {remaining} left{postfix}"
        self.bar = draw_bar(total=total, desc=what, bar_format=style)

    def to(self, done: float, detail: str = "") -> None:
        """Show that so much of the work is done.

        Args:
            detail: shown after the time left: `loss 0.42`.
        """
        self.done, self.detail = min(done, self.total), detail
        if not self.bar.disable:
            self.bar.set_postfix_str(detail, refresh=False)
            self.bar.update(self.done - self.bar.n)
        elif time.monotonic() - self.said >= LINE_S:
            self.said = time.monotonic()
            print(self.line(self.said - self.began), file=sys.stderr, flush=True)

    def add(self, more: float) -> None:
        """Show that so much more of the work is done."""
        self.to(self.done + more)

    def line(self, elapsed_s: float) -> str:
        """Return the progress in words: `fine-tuning: 40 %, 1 min left, loss 0.42`."""
        share = self.done / self.total
        left = f"{duration(elapsed_s * (1 / share - 1))} left" if share > 0 else f"{duration(elapsed_s)} so far"
        return ", ".join(filter(None, [f"{self.what}: {share:.0%}".replace("%", " %"), left, self.detail]))

    def close(self) -> None:
        self.bar.close()


def draw_bar(**what: Any) -> "tqdm[Any]":
    """Return a bar on the terminal of standard error; elsewhere a bar that draws nothing.

    A terminal that reports no size (that of a CI, say) is taken for one of 80 x 24.

    Args:
        what: arguments of tqdm: amount, name, format.
    """
    from tqdm import tqdm

    if not sys.stderr.isatty():
        return tqdm(**what, disable=True)
    terminal = os.get_terminal_size(sys.stderr.fileno())
    return tqdm(**what, leave=False, ncols=(terminal.columns or 80) - 1, nrows=terminal.lines or 24)


def duration(seconds: float) -> str:
    """Return a time in words, rounded: `40 s`, `3 min`, `2 h 5 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
