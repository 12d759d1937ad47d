"""Files inside installed packages, found without importing the package, and effcomp's own configs."""

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


def require(package: str, wanted_by: str) -> None:
    """Refuse a choice whose library is not installed, in one line and before any work."""
    if find_spec(package) is None:
        raise UserError(f"{wanted_by} needs the package {package}: {installation(package)}")


def installation(package: str) -> str:
    """Return the command that installs a library, by its import name."""
    extra = next((f"[{extra}]" for extra, packages in EXTRAS.items() if package in packages), "")
    return f"pip install 'effcomp{extra}'"
