"""docs/formats.md, from the classes themselves:  python -m effcomp.compress.overview >docs/formats.md"""

import inspect
from pathlib import Path

from omegaconf import OmegaConf

from effcomp.compose import build_part
from effcomp.compress.quant.base import EVERY, Quant

CONF = Path(__file__).resolve().parent.parent.parent / "conf" / "quant"
INTRODUCTION = """# Number formats

Which runtime executes a format, which parameters it is applied to there, and the operators of which one must run, or
the record says that none did. Other parameters stay float32, unless the format says otherwise below. Written by
`make docs`."""


def formats() -> list[Quant]:
    """The choices of the group quant, by name."""
    parts = [
        build_part("quant", Quant, OmegaConf.to_container(OmegaConf.load(file))) for file in sorted(CONF.glob("*.yaml"))
    ]
    return [part for part in parts if isinstance(part, Quant)]


def table() -> str:
    lines = ["| format | runtime | applied to | must run |", "|---|---|---|---|"]
    for quant in formats():
        for runtime, way in quant.ways.items():
            touched = "all" if way.touches == EVERY else ", ".join(way.touches) or "-"
            promised = " or ".join(f"`{name}`" for name in way.promises) or "-"
            lines.append(f"| {quant.name} | {runtime} | {touched} | {promised} |")
    return "\n".join(lines)


def descriptions() -> str:
    """What each class says of itself, once."""
    by_class: dict[type[Quant], list[str]] = {}
    for quant in formats():
        by_class.setdefault(type(quant), []).append(quant.name)
    sections = []
    for cls, names in by_class.items():
        sections.append(f"## {', '.join(names)}\n\n```text\n{inspect.getdoc(cls)}\n```")
    return "\n\n".join(sections)


if __name__ == "__main__":
    print(INTRODUCTION, table(), descriptions(), sep="\n\n")
