"""Installed packages: their files, versions, and the command that installs a missing one; the folder of the configs."""

import re
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution, packages_distributions, requires
from importlib.util import find_spec
from pathlib import Path

from effcomp.core.errors import UserError

PACKAGE = Path(__file__).resolve().parent.parent
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"
"""Folder of the config groups: inside the installed package, or beside it in a checkout."""


EXTRAS = {
    "hub": ("datasets",),
    "lora": ("peft",),
    "gguf": ("gguf",),
    "llama_cpp": ("xllamacpp",),
    "generation": ("bert_score", "rouge_score", "sacrebleu", "sentencex"),
    "search": ("optuna",),
}
"""Extras of pyproject.toml, and the libraries that each is the first to bring, by import name; all others are in the
base."""


def package_folder(package: str, requirement: str, wanted_by: str) -> Path:
    """Return the folder of an installed package.

    Raises:
        UserError: it is not installed; the message has the command that installs it.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"{wanted_by} needs the package {requirement}: pip install --no-deps {requirement}")
    return Path(spec.submodule_search_locations[0])


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of libraries, by import name; one without a version (a module of one's own) is left out."""
    found = {package: distribution_of(package) for package in packages}
    return {package: one.version for package, one in found.items() if one is not None}


@cache
def distribution_of(package: str) -> Distribution | None:
    """Return the installed distribution that a package comes from, by import name; None where it comes from none."""
    try:
        return distribution(package)
    except PackageNotFoundError:  # most have the name of their package; the search for the others takes a second
        names = packages_distributions().get(package) if find_spec(package) is not None else None
        return distribution(names[0]) if names else None


def require(package: str, wanted_by: str) -> None:
    """Refuse a choice whose library is not installed, in one line and before any work."""
    if find_spec(package) is None:
        raise UserError(f"{wanted_by} needs the package {package}: {installation(package)}")


def installation(package: str) -> str:
    """Return the command that installs a library, by its import name; in words for one that effcomp does not bring."""
    brought = {re.split(r"[^\w-]", one)[0].replace("-", "_") for one in requires("effcomp") or ()}
    if package not in brought:
        return "install it"
    extra = next((f"[{extra}]" for extra, packages in EXTRAS.items() if package in packages), "")
    return f"pip install 'effcomp{extra}'"
