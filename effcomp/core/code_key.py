"""Keys of source code: a stored result is stale after a change of code that computes it.

The key of a result is the sha256 of the modules that compute it and of everything that they import, found in their
sources with `ast`; nothing is imported for it.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

CANNOT_MATTER = frozenset(
    {
        "effcomp.core.class_paths",
        "effcomp.core.code_key",
        "effcomp.core.device_lock",
        "effcomp.core.errors",
        "effcomp.core.store",
        "effcomp.pipeline.checks",
        "effcomp.pipeline.compose",
        "effcomp.tracking.base",
    }
)
"""Modules that refuse, wait, keep or name things, but compute no part of a result. Neither they nor what they alone
import is in a key."""

Sources = Mapping[str, Path]
"""The file of each module, by the module's name."""


def code_key(*modules: str) -> str:
    """Return the sha256 of these modules and of all that they import, within effcomp and within their own packages."""
    return closure_key(frozenset(modules))


@cache
def closure_key(modules: frozenset[str]) -> str:
    sources = dict(package_sources("effcomp"))
    for module in modules:
        sources |= package_sources(module.partition(".")[0])
    return sources_key(sources, modules)


def sources_key(sources: Sources, modules: frozenset[str]) -> str:
    """Return the sha256 of the sources of these modules and of all modules among the sources that they need."""
    digest = sha256()
    for module in sorted(closure(sources, modules)):
        digest.update(f"{module}\0".encode() + sources[module].read_bytes() + b"\0")
        if (compiled := sources[module].with_suffix(".c")).exists():  # what the module compiles lies beside it
            digest.update(compiled.read_bytes() + b"\0")
    return digest.hexdigest()


def closure(sources: Sources, modules: frozenset[str]) -> set[str]:
    """Return these modules and all among the sources that they import, at any depth, but those that cannot matter."""
    found: set[str] = set()
    waiting = set(modules)
    while waiting:
        module = waiting.pop()
        found.add(module)
        named = (next((name for name in names if name in sources), None) for names in needs(module, sources[module]))
        waiting |= {name for name in named if name is not None} - found - CANNOT_MATTER
    return found


@cache
def needs(module: str, file: Path) -> frozenset[tuple[str, ...]]:
    """Return what a source imports, at its top or inside a function, and the modules of effcomp that it names in a
    string to run them as a process. An import under TYPE_CHECKING does not count: it never runs.

    Each is a tuple of names that may be modules: `from a import b` is ("a.b",), or ("a",) where a.b is no module.
    """
    text = file.read_text()
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    found: set[tuple[str, ...]] = {(name,) for name in re.findall(r'"(effcomp\.[\w.]+)"', text)}
    for statement in statements(parts_that_import(text)):
        if isinstance(statement, ast.Import):
            found |= {(alias.name,) for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            parents = package.split(".")
            above = parents[: len(parents) - statement.level + 1] if statement.level else []
            source = ".".join(filter(None, [*above, statement.module]))
            found |= {(f"{source}.{alias.name}", source) for alias in statement.names}
    return frozenset(found)


BLOCK = re.compile(r"^(?=[^\s#)\]}])(?!else\b|elif\b|except\b|finally\b)", re.MULTILINE)
"""Start of a statement at the top of a source."""


def parts_that_import(source: str) -> list[ast.stmt]:
    """Return the statements at the top of a source in which `import` stands; `ast` reads no others, which would take
    four times as long. A source that cannot be divided so (a text with lines at the margin) is read whole."""
    try:
        if "\\\n" not in source:
            return [one for part in BLOCK.split(source) if "import" in part for one in ast.parse(part).body]
    except SyntaxError:
        pass
    return ast.parse(source).body


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield all statements of a source at any depth, but those under TYPE_CHECKING."""
    for statement in body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            yield from statements(statement.orelse)
            continue
        yield statement
        for block in ("body", "orelse", "finalbody"):
            yield from statements(getattr(statement, block, []))
        for inner in (*getattr(statement, "handlers", []), *getattr(statement, "cases", [])):
            yield from statements(inner.body)


@cache
def package_sources(package: str) -> Sources:
    """Return the sources of a package, or of a module that is a file of its own and of those beside it."""
    found = find_spec(package)
    assert found is not None and found.origin is not None, f"{package} has no source file"
    file = Path(found.origin)
    if file.name == "__init__.py":
        return sources_below(file.parent)
    return {beside.stem: beside for beside in sorted(file.parent.glob("*.py"))}


def sources_below(folder: Path) -> Sources:
    """Return the sources of the package in this folder."""
    names = {file: file.relative_to(folder.parent).with_suffix("").parts for file in sorted(folder.rglob("*.py"))}
    return {".".join(parts).removesuffix(".__init__"): file for file, parts in names.items()}
