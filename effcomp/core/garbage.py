"""Garbage collection of a process that imports large libraries.

PyTorch and transformers define hundreds of thousands of objects that live as long as the process. The collector
visits them again and again during the imports (a quarter of their time), and once more at exit (over a second).
"""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def no_garbage() -> Iterator[None]:
    """Stop the collector during the block, and keep what the block leaves out of every later collection."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
