"""Keys of source text: what a stored result was computed by."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def package_sources(package: str) -> dict[str, Path]:
    """Return the source file of each module of a package by the module's name; none is imported."""
    found = find_spec(package)
    assert found is not None and found.origin is not None, f"{package} has no source file"
    root = Path(found.origin).parent
    names = {file: file.relative_to(root).with_suffix("").parts for file in sorted(root.rglob("*.py"))}
    return {".".join([package, *names]).removesuffix(".__init__"): file for file, names in names.items()}


def source_key(*modules: str) -> str:
    """The sha256 of the source text of these modules and of all modules in these packages; none need be imported."""
    from hashlib import sha256

    digest = sha256()
    for module in sorted(modules):
        found = find_spec(module)
        assert found is not None and found.origin is not None, f"{module} has no source file"
        file = Path(found.origin)
        for source in sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]:
            digest.update(source.read_bytes())
    return digest.hexdigest()
