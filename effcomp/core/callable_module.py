"""Callable modules: `effcomp.run` and `effcomp.sweep` are modules and functions of the Python interface at once."""

from importlib import import_module
from types import ModuleType
from typing import Any


class CallableModule(ModuleType):
    """Class of a module whose last name is also that of a function of effcomp.api."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the function of effcomp.api with the module's name."""
        return getattr(import_module("effcomp.api"), self.__name__.rpartition(".")[2])(*arguments, **named)
