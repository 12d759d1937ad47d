"""Private names of Hydra and transformers stand in effcomp.core.private alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra._internal.hydra import Hydra

from effcomp.core.private.hydra import compose_once, get_args_parser
from tests.conftest import ROOT

FILES = sorted(
    file
    for folder in ("effcomp", "hydra_plugins")
    for file in (ROOT / folder).rglob("*.py")
    if "private" not in file.parts
)
OTHER_LIBRARIES = {
    "_extract_corpus_statistics": "sacrebleu, whose scores of a part of the texts have no public name",
    "_compute_score_from_stats": "sacrebleu",
    "_non_persistent_buffers_set": "torch.nn.Module",
    "_target_": "a key of Hydra's configs",
    "_compute": "datasets' metric modules, which are written by overriding it",
    "_run_exitfuncs": "atexit, whose functions Python calls only together with the rest of its end",
    "_info": "datasets' metric modules",
}
OF_NAMED_TUPLES = {"_replace", "_asdict", "_fields"}
"""Public, whatever their names look like."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in {"_", *OF_NAMED_TUPLES}


def private_names(tree: ast.AST) -> Iterator[str]:
    """The private attributes and modules of others: what a module sets on itself is its own."""
    nodes = list(ast.walk(tree))
    attributes = [node for node in nodes if isinstance(node, ast.Attribute) and is_private(node.attr)]
    own = {node.attr for node in attributes if isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self"}
    defined = {node.name for node in nodes if isinstance(node, ast.FunctionDef) and is_private(node.name)}
    called_by_super = {node.attr for node in attributes if ast.unparse(node.value) == "super()"}
    for node in attributes:
        root = ast.unparse(node.value).partition(".")[0]
        if root not in {"torch", "os"} and node.attr not in (own | defined) - called_by_super:
            yield node.attr
    for node in nodes:
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.partition(".")[0]
            in {
                "hydra",
                "transformers",
            }
        ):
            yield from filter(is_private, node.module.split("."))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_module_uses_public_names_of_hydra_and_transformers(file: Path) -> None:
    assert set(private_names(ast.parse(file.read_text()))) <= OTHER_LIBRARIES.keys()


def test_the_private_names_are_found_where_they_are_used() -> None:
    folder = ROOT / "effcomp/core/private"
    found = {name for file in folder.glob("*.py") for name in private_names(ast.parse(file.read_text()))}
    assert found >= {"_internal", "_parse_config", "_model_mapping", "_attn_implementation", "_save_rng_state"}


@pytest.mark.parametrize(
    ("word", "looks"), [("quant=none", False), ("-m", False), ("hydra.mode=MULTIRUN", True), ("--config-dir=own", True)]
)
def test_hydra_composes_twice_only_where_the_user_may_have_set_its_mode(
    word: str, looks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Hydra.get_mode
    monkeypatch.setattr(Hydra, "get_mode", own)
    compose_once(get_args_parser().parse_args([word]))
    assert (Hydra.get_mode is own) == looks
