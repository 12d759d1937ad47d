"""Generator of docs/record.md: every field of the Record, its meaning and its use.  python -m effcomp.docs.record"""

import re
import types
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from effcomp.record import SCHEMA, Record
from effcomp.record.quantity import Named, Quantity
from effcomp.record.row import rows_in

HEADER = f"""# The Record, schema {SCHEMA}

Every run ends with one Record: the last line on standard output, `record.json` in the run's folder, an artifact of the
MLflow run (where each number is a metric too). Units stand in the names. An interval is 95 %, `value` with `low` and
`high`: of speed and cost it says where the same measurement, made again, would lie; of a time or a rate, which has
`between_measurements`, at another hour too; of scores it is a confidence interval. "Shown as" is the label of columns,
axes and messages, with the unit that people read the number in. An objective can be optimized and limited by the name
of its field (`--recommend`, `hydra.sweeper.objectives`). Written by `make docs` from effcomp/record/.
"""


def describe(model: type[BaseModel] = Record) -> str:
    """Return the Markdown of this row and of all rows inside it, each once, in the order in which they are met."""
    sections, waiting, seen = [HEADER], [model], {model}
    while waiting:
        row = waiting.pop(0)
        lines = [
            f"\n## {row.__name__}\n",
            (row.__doc__ or "").strip(),
            "",
            "| field | type | meaning | shown as |",
            "|---|---|---|---|",
        ]
        for name, field in row.model_fields.items():
            meaning = " ".join((field.description or "").split()).replace("|", "\\|")
            lines.append(f"| `{name}` | {spelled(field.annotation)} | {meaning} | {shown(field)} |")
            lines += named_numbers(row, name)
            for inner in rows_in(field.annotation):
                if inner not in seen:
                    seen.add(inner)
                    waiting.append(inner)
        sections.append("\n".join(lines) + "\n")
    return "".join(sections)


def named_numbers(row: type[BaseModel], name: str) -> list[str]:
    """Return a line for each number in a dict that has a meaning of its own: `probes.kv_cache_bytes`."""
    named = [one for one in row.model_fields[name].metadata if isinstance(one, Named)]
    return [
        f"| `{name}.{key}` | float | {meaning} | {use(one.quantities[key])} |"
        for one in named
        for key, meaning in one.meanings.items()
    ]


def shown(field: FieldInfo) -> str:
    """Return the label, unit and use of a field's quantity; empty for other fields."""
    return "; ".join(use(quantity) for quantity in field.metadata if isinstance(quantity, Quantity))


def use(quantity: Quantity) -> str:
    """Return label, unit and use: `artifact, MiB; lower is better; objective`."""
    words = [quantity.heading]
    words += [f"{quantity.better} is better"] if quantity.better is not None else []
    words += ["objective"] if quantity.objective else []
    words += [f"MLflow `{quantity.headline}`"] if quantity.headline else []
    return "; ".join(words)


def spelled(annotation: Any) -> str:
    """Return a type in words: `int`, `list[Kernel]`, `float or None`."""
    if annotation is type(None):
        return "None"
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(spelled(part) for part in get_args(annotation))
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return re.sub(r"typing\.|effcomp\.(core|record)\.(\w+\.)?", "", str(annotation)).replace("|", "or")


if __name__ == "__main__":
    print(describe(), end="")
