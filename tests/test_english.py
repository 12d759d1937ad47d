"""Docstrings in plain technical English: a class has one, a function's begins with a verb, none opens as a riddle."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

RIDDLES = ("What ", "Of the ", "Of ", "Whether ", "Which ", "How ", "The same ", "Who ", "Where ", "When ")
NO_VERBS = {"A", "All", "An", "As", "At", "Each", "Every", "For", "From", "In", "It", "Its", "No", "One", "The", "This"}
ROOT = Path(__file__).parents[1]
DEFINITIONS = (ast.Module, ast.ClassDef, ast.FunctionDef)


def docstrings(body: list[ast.stmt], owner: ast.AST) -> Iterator[tuple[ast.AST, ast.Constant]]:
    """Yield each docstring with its owner: a module, class or function, or the assignment before it."""
    for before, statement in zip([owner, *body], body, strict=False):
        if isinstance(before, (*DEFINITIONS, ast.Assign, ast.AnnAssign)):
            match statement:
                case ast.Expr(value=ast.Constant(value=str()) as constant):
                    yield before, constant
        if isinstance(statement, DEFINITIONS):
            yield from docstrings(statement.body, statement)


def faults(source: str, verbs: bool = True) -> list[str]:
    """Return the first line of each docstring that breaks a rule, with the line number.

    Args:
        verbs: hold also that those of functions begin with a verb.
    """
    tree = ast.parse(source)
    found = []
    for owner, constant in docstrings(tree.body, tree):
        text = str(constant.value).strip()
        word = text.split()[0]
        no_verb = word.rstrip(",:;.") in NO_VERBS or not word[0].isupper()
        if text.startswith(RIDDLES) or (verbs and isinstance(owner, ast.FunctionDef) and no_verb):
            found.append(f"{constant.lineno}: {text.splitlines()[0]}")
    return found


@pytest.mark.parametrize(
    ("folders", "verbs"), [(("effcomp", "hydra_plugins"), True), (("tests", "benchmarks", "examples"), False)]
)
def test_every_docstring_begins_plainly(folders: tuple[str, ...], verbs: bool) -> None:
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    assert not [f"{file}:{fault}" for file in files for fault in faults(file.read_text(), verbs)]


@pytest.mark.parametrize(
    "source",
    [
        '"""What a module holds."""',
        'class A:\n    """Of the layers."""',
        'x = 1\n"""Whether it is one."""',
        'def f():\n    """The number of layers."""',
        'class A:\n    def f(self):\n        """sizes: of each."""',
    ],
)
def test_a_riddle_is_found(source: str) -> None:
    assert len(faults(source)) == 1


def test_every_class_has_a_docstring() -> None:
    files = [file for folder in ("effcomp", "hydra_plugins") for file in (ROOT / folder).rglob("*.py")]
    classes = [
        (f, node) for f in files for node in ast.walk(ast.parse(f.read_text())) if isinstance(node, ast.ClassDef)
    ]
    assert len(classes) > 100
    assert not [f"{file}:{node.lineno}" for file, node in classes if not ast.get_docstring(node)]


def test_a_verb_and_a_noun_pass() -> None:
    assert not faults('"""Layers."""\ndef f():\n    """Return the number of layers."""\nx = 1\n"""Number of layers."""')
