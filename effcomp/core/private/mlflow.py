"""MLflow's map of modules to the packages that they come from."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def without_package_map() -> Iterator[None]:
    """Leave MLflow's map empty during the block, where a model is saved with pinned requirements.

    MLflow compares them with the installed packages, and reads every file of the environment to map modules to
    packages first (0.7 s). Each of our requirements is the name and the installed version of a package, so the
    comparison needs no module.
    """
    from mlflow.utils import requirements_utils

    known = requirements_utils._MODULES_TO_PACKAGES
    requirements_utils._MODULES_TO_PACKAGES = {}
    try:
        yield
    finally:
        requirements_utils._MODULES_TO_PACKAGES = known
