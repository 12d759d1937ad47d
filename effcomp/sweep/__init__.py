"""Sweeps: the folder, the jobs, the parent run and the report of a multirun."""

import sys

from effcomp.core.callable_module import CallableModule

sys.modules[__name__].__class__ = CallableModule
