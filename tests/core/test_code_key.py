"""Keys of code: they change with every module that can change a result, and with no other."""

import ast
import shutil
import time
from pathlib import Path

import pytest

from effcomp.core.code_key import (
    CANNOT_MATTER,
    closure,
    code_key,
    needs,
    parts_that_import,
    sources_below,
    sources_key,
    statements,
)
from tests.conftest import ROOT

ROOTS = {
    "tokens": {"effcomp.pipeline.tokens"},
    "checkpoint": {"effcomp.pipeline.training", "effcomp.finetune.full"},
    "pruned": {"effcomp.pipeline.training", "effcomp.prune.structured"},
    "artifact": {"effcomp.pipeline.compressed", "effcomp.artifact.onnx", "effcomp.quant.int8_static"},
    "rates": {"effcomp.pipeline.rates", "effcomp.measure.roofline"},
    "outputs": {"effcomp.pipeline.predictions", "effcomp.measure.worker", "effcomp.runtimes.openvino"},
    "result": {"effcomp.pipeline.run", "effcomp.runtimes.onnxruntime", "effcomp.quant.ternary"},
}
"""The modules whose functions compute what is stored, and the chosen components."""


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The sources of effcomp, to be edited."""
    return Path(shutil.copytree(ROOT / "effcomp", tmp_path / "effcomp", ignore=shutil.ignore_patterns("__pycache__")))


def key(kind: str, folder: Path) -> str:
    return sources_key(sources_below(folder), frozenset(ROOTS[kind]))


def keys(folder: Path) -> dict[str, str]:
    return {kind: key(kind, folder) for kind in ROOTS}


@pytest.mark.parametrize("kind", ROOTS)
def test_a_change_of_any_module_behind_a_result_changes_its_key(kind: str, copied: Path) -> None:
    sources = sources_below(copied)
    before, modules = key(kind, copied), closure(sources, frozenset(ROOTS[kind]))
    assert len(modules) >= 10
    for module in modules:
        text = sources[module].read_text()
        sources[module].write_text(text + "\nCHANGED = 1\n")
        assert key(kind, copied) != before, module
        sources[module].write_text(text)
    assert key(kind, copied) == before


def test_a_change_of_what_a_module_compiles_changes_the_key_of_its_results(copied: Path) -> None:
    before = keys(copied)
    with (copied / "quant" / "integer_products.c").open("a") as source:
        source.write("/* changed */\n")
    assert {kind for kind, one in keys(copied).items() if one != before[kind]} == {"result"}


@pytest.mark.parametrize(
    ("kind", "module"),
    [
        ("outputs", "measure.worker"),  # it runs in a process of its own: no import leads there
        ("outputs", "runtimes.decoding"),
        ("tokens", "pipeline.tokens"),  # holds the seed of the masks
        ("rates", "quant.dynamic_linear"),  # its layer is one of the int8 products
        ("checkpoint", "finetune.rank"),
        ("checkpoint", "finetune.sampler"),
        ("artifact", "pipeline.tokens"),  # encodes the calibration examples
        ("artifact", "models.linear"),
        ("result", "evaluate.classification"),
        ("result", "measure.worker"),
        ("result", "quant.int8_linear"),
    ],
)
def test_what_was_missed_by_hand_is_found(kind: str, module: str, copied: Path) -> None:
    assert f"effcomp.{module}" in closure(sources_below(copied), frozenset(ROOTS[kind]))


def test_a_new_number_format_changes_no_key_of_the_others(copied: Path) -> None:
    before = keys(copied)
    shutil.copy(copied / "quant" / "int4.py", copied / "quant" / "int5.py")
    assert keys(copied) == before


@pytest.mark.parametrize("kind", ["tokens", "checkpoint", "artifact", "outputs", "rates"])
def test_a_result_does_not_depend_on_formats_that_it_does_not_use(kind: str, copied: Path) -> None:
    before = key(kind, copied)
    for name in ("bnb", "int3", "fp8", "ternary"):
        with (copied / "quant" / f"{name}.py").open("a") as stream:
            stream.write("CHANGED = 1\n")
    assert key(kind, copied) == before


@pytest.mark.parametrize("kind", ROOTS)
def test_no_result_depends_on_what_is_made_of_it(kind: str, copied: Path) -> None:
    packages = {module.split(".")[1] for module in closure(sources_below(copied), frozenset(ROOTS[kind]))}
    assert not packages & {"api", "command", "docs", "report", "run", "sweep", "tracking"}


def test_what_cannot_matter_is_in_no_key(copied: Path) -> None:
    before = keys(copied)
    assert len(CANNOT_MATTER) <= 8
    for module in CANNOT_MATTER:
        with copied.parent.joinpath(*module.split(".")).with_suffix(".py").open("a") as stream:
            stream.write("CHANGED = 1\n")
    assert keys(copied) == before


SOURCE = """
import os
from typing import TYPE_CHECKING
from own import beside, helper as other
from . import near
from .inner import far
try:
    import optional
except ImportError:
    import instead

if TYPE_CHECKING:
    from own import only_a_type
else:
    import own.real

def work():
    if True:
        from own.deep import at_last
    run("effcomp.measure.worker")
"""


def test_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(SOURCE)
    found = {names[0] for names in needs("own.module", file)}
    assert found == {
        *("os", "typing.TYPE_CHECKING", "own.beside", "own.helper", "own.near", "own.inner.far", "optional", "instead"),
        *("own.real", "own.deep.at_last", "effcomp.measure.worker"),
    }


SOURCES = [
    SOURCE,
    'TEXT = """\nimport in_a_text\n"""\nimport own',
    "from own import (\nbeside,\nhelper\n)",
    "from own \\\nimport beside",
    "try:\n    import a\nexcept ImportError:\n    import b\nelse:\n    import c\nfinally:\n    import d",
    "@decorated\ndef work():\n    import a\nclass A: import b\nif True: import c; import d",
]


@pytest.mark.parametrize("source", [*SOURCES, *(file.read_text() for file in sorted(ROOT.glob("effcomp/quant/*.py")))])
def test_no_import_is_missed_where_a_source_is_read_in_parts(source: str) -> None:
    kinds = (ast.Import, ast.ImportFrom)
    whole = {ast.unparse(one) for one in statements(ast.parse(source).body) if isinstance(one, kinds)}
    parts = {ast.unparse(one) for one in statements(parts_that_import(source)) if isinstance(one, kinds)}
    assert whole <= parts <= whole | {"import in_a_text"}


def test_the_keys_of_a_run_take_no_time() -> None:
    needs.cache_clear()
    start = time.process_time()
    for roots in ROOTS.values():
        code_key(*roots)
    assert time.process_time() - start < 1
