"""Calls that wait for the network.

Each call runs in a daemon thread while the main thread watches it: progress is shown, silence ends with an error, and
a signal ends the program at once instead of after the client's own retries.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from tqdm import tqdm

from effcomp.core.progress import draw_bar

log = logging.getLogger(__name__)

T = TypeVar("T")
POLL_S = 0.1
if TYPE_CHECKING:
    Bar = tqdm[Any]
else:
    Bar = tqdm  # generic in its type stubs alone

FIRST_WORD_S = 3.0
"""Silence after which the log says what is waited for."""
LINE_S = 30.0
"""Time between two lines of progress where no bar can be drawn."""
CHUNK_BYTES = 2**16
"""Bytes between two reports of the client; its default, 10 MB, looks like silence on a slow line."""


class Silence(TimeoutError):
    """No byte arrived within the client's time-outs."""


class DownloadProgress:
    """Bytes received of a known total: a bar on a terminal, a line each half minute elsewhere."""

    def __init__(self, what: str, total_bytes: int) -> None:
        self.what, self.total_bytes, self.bytes = what, total_bytes, 0
        self.seen = self.said = time.monotonic()
        self.bar = draw_bar(total=total_bytes, unit="B", unit_scale=True, desc=what)

    def count(self, received: int) -> None:
        """Add bytes; called in the thread of the download."""
        self.bytes += received
        self.seen = time.monotonic()

    def counter(self) -> type[Bar]:
        """Return a class that counts here and draws nothing, for the client's `tqdm_class`."""
        progress = self

        class Received(Bar):
            """Bar that is never drawn, and counts for the progress."""

            def __init__(self, *_: Any, **__: Any) -> None:
                super().__init__(disable=True)

            def update(self, n: float | None = 1) -> None:
                progress.count(int(n or 0))

            def update_transfer(self, n: float | None = 1) -> None:
                """Count bytes that Xet received but has not written yet as activity."""
                progress.count(0)

            def set_transfer_postfix_str(self, *_: Any, **__: Any) -> None:
                """Ignore the rate, which the drawn bar computes itself."""

        return Received

    def show(self) -> None:
        self.bar.update(self.bytes - self.bar.n)
        if self.bar.disable and time.monotonic() - self.said > LINE_S:
            self.said = time.monotonic()
            log.info("%s: %.1f of %.1f MB", self.what, self.bytes / 1e6, self.total_bytes / 1e6)


def wait_for(call: Callable[[], T], what: str, patience_s: float, progress: DownloadProgress | None = None) -> T:
    """Return the result of a call, or raise its exception.

    Args:
        what: the answer that is waited for, for the log.
        patience_s: the longest time without an answer, or without a byte where `progress` counts them.

    Raises:
        Silence: nothing arrived in that time. The thread is left to end by itself.
    """
    done: Future[T] = Future()

    def work() -> None:
        try:
            done.set_result(call())
        except BaseException as error:
            done.set_exception(error)

    began, told = time.monotonic(), False
    Thread(target=work, daemon=True, name=f"waiting for {what}").start()
    while not wait([done], timeout=POLL_S).done:
        if progress is not None:
            progress.show()
        silent_s = time.monotonic() - max(began, progress.seen if progress is not None else began)
        if silent_s > patience_s:
            raise Silence(f"no answer for {patience_s:.0f} s")
        if silent_s > FIRST_WORD_S and not told:
            told = True
            log.info("waiting for %s (%.0f s at most)", what, patience_s)
    if progress is not None:
        progress.show()
    return done.result()
