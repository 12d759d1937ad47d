"""Signature of a model: the texts that it takes and the kind of its answer, as its task defines them.

The artifact folder holds it, so that a loaded artifact gets the inputs that were measured: the columns of a table that
make the text, their separator, and the length at which a text is cut.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from effcomp.models.heads import Problem

SIGNATURE_FILE = "signature.json"
SEPARATOR = " "
"""Separator of the columns of a text."""


@dataclass(frozen=True)
class Signature:
    """Inputs that a model takes: columns of texts, their maximum length, and for generation what it writes."""

    problem: Problem
    max_length: int
    """Maximum number of tokens; a longer text is cut, a longer prompt refused."""
    text: tuple[str, ...] = ("text",)
    """Columns that make the text, joined by SEPARATOR."""
    pair: str | None = None
    """Column of the second sentence; None: texts stand alone."""
    new_tokens: int | None = None
    """Generation: maximum number of tokens that the model writes after a prompt."""
    stop: tuple[str, ...] = ()
    """Generation: strings that end a text."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Return every column that is needed."""
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
