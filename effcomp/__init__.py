"""effcomp: which compression for this model, this task, this hardware, and what does it cost?

The Python interface is effcomp.run, effcomp.sweep, effcomp.records and effcomp.load (see effcomp.api), each imported
when it is used first.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from effcomp.api import load, records, run, sweep

__version__ = "0.1.0"
__all__ = ["load", "records", "run", "sweep"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in {"run", "sweep"}:  # modules, which can be called
        return import_module(f"effcomp.{name}")
    if name in __all__:
        return getattr(import_module("effcomp.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
