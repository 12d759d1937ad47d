"""python -m effcomp.docs.record: docs/record.md, every field of the Record with its unit and its meaning."""

import re
import types
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from effcomp.record import SCHEMA, Record

HEADER = f"""# The Record, schema {SCHEMA}

Every run ends with one Record: the last line on standard output, `record.json` in the run's folder, an artifact of the
MLflow run (where each number is a metric under its dotted path too). Units stand in the names. An interval is 95 %,
`value` with `low` and `high`. Written by `make docs` from effcomp/record/.
"""


def describe(model: type[BaseModel] = Record) -> str:
    """The Markdown of this row and of all rows inside it, each once, in the order in which they are met."""
    sections, waiting, seen = [HEADER], [model], {model}
    while waiting:
        row = waiting.pop(0)
        lines = [
            f"\n## {row.__name__}\n",
            (row.__doc__ or "").strip(),
            "",
            "| field | type | meaning |",
            "|---|---|---|",
        ]
        for name, field in row.model_fields.items():
            meaning = " ".join((field.description or "").split()).replace("|", "\\|")
            lines.append(f"| `{name}` | {spelled(field.annotation)} | {meaning} |")
            for inner in rows_in(field.annotation):
                if inner not in seen:
                    seen.add(inner)
                    waiting.append(inner)
        sections.append("\n".join(lines) + "\n")
    return "".join(sections)


def spelled(annotation: Any) -> str:
    """A type as it is written: `int`, `list[Kernel]`, `float or None`."""
    if annotation is type(None):
        return "None"
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(spelled(part) for part in get_args(annotation))
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return re.sub(r"typing\.|effcomp\.record\.(\w+\.)?", "", str(annotation)).replace("|", "or")


def rows_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [row for part in get_args(annotation) for row in rows_in(part)]


if __name__ == "__main__":
    print(describe(), end="")
