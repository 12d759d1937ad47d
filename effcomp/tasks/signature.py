"""Texts that a model takes and the kind of its answer, as the task that it was measured on defines them.

It lies in the artifact folder, so that whoever loads the artifact gives it what was measured: the columns of a table
that make the text, how they are joined, and where a text is cut.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from effcomp.models.heads import Problem

SIGNATURE_FILE = "signature.json"
SEPARATOR = " "
"""Between the columns of a text."""


@dataclass(frozen=True)
class Signature:
    problem: Problem
    max_length: int
    """Tokens; a longer text is cut, a longer prompt refused."""
    text: tuple[str, ...] = ("text",)
    """Columns that make the text, joined by SEPARATOR."""
    pair: str | None = None
    """Column of the second sentence; None: texts stand alone."""
    new_tokens: int | None = None
    """Generation: the most tokens that the model writes after a prompt."""
    stop: tuple[str, ...] = ()
    """Generation: strings that end a text."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is needed."""
        return (*self.text, self.pair) if self.pair is not None else self.text

    def inputs(self, row: Mapping[str, str]) -> tuple[str, ...]:
        """Return the text of a table's row, and its second sentence where there is one."""
        text = SEPARATOR.join(row[column].strip() for column in self.text)
        return (text, row[self.pair].strip()) if self.pair is not None else (text,)

    def write(self, folder: Path) -> None:
        """Write signature.json."""
        (folder / SIGNATURE_FILE).write_text(json.dumps(asdict(self), indent=1) + "\n")


def read_signature(folder: Path) -> Signature | None:
    """Read signature.json; None where an earlier version wrote the artifact."""
    if not (folder / SIGNATURE_FILE).exists():
        return None
    fields = json.loads((folder / SIGNATURE_FILE).read_text())
    return Signature(**fields | {name: tuple(fields[name]) for name in ("text", "stop")})
