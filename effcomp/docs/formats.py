"""docs/formats.md, from the classes themselves:  python -m effcomp.docs.formats >docs/formats.md"""

import inspect
from typing import TypeVar

from omegaconf import OmegaConf

from effcomp.core import processors
from effcomp.core.component import Component
from effcomp.core.packages import CONF
from effcomp.pipeline.compose import build_component
from effcomp.quant.base import EVERY, Quant
from effcomp.runtimes.base import Runtime

INTRODUCTION = """# Number formats

Which runtime executes a format and on which device, which parameters it is applied to there, and the operators of
which one must run, or the record says that none did. Other parameters stay float32, unless the format says otherwise
below. Texts are written, and token by token generation is measured, by `runtime=torch` and
`compile` (which translates the model once more for it; `bench.new_tokens=0` leaves it out). Written by `make docs`."""


PROCESSORS = """## What a processor executes

Number types that each instruction set multiplies in hardware, and parts of the names of oneDNN's and OpenVINO's kernels
that use it. A format in another type is emulated: a sweep leaves it out, unless `device.emulated=true`; alone it runs,
after a warning that says what it costs."""
P = TypeVar("P", bound=Component)


def choices(group: str, base: type[P]) -> list[P]:
    """What a group of the configuration offers, by name."""
    files = sorted((CONF / group).glob("*.yaml"))
    parts = [build_component(group, base, OmegaConf.to_container(OmegaConf.load(file))) for file in files]
    return [part for part in parts if isinstance(part, base)]


def table() -> str:
    lines = ["| format | runtime | device | applied to | must run |", "|---|---|---|---|---|"]
    runtimes = {runtime.name: runtime for runtime in choices("runtime", Runtime)}
    for quant in choices("quant", Quant):
        for runtime, way in quant.ways.items():
            touched = "all" if way.touches == EVERY else ", ".join(way.touches) or "-"
            promised = " or ".join(code(name) for name in way.promises) or "-"
            devices = ", ".join(d for d in way.devices if d in quant.devices and d in runtimes[runtime].devices)
            lines.append(f"| {quant.name} | {runtime} | {devices} | {touched} | {promised} |")
    return "\n".join(lines)


def code(name: str) -> str:
    """Quote a name in a cell of a table."""
    return f"`{name}`".replace("|", "\\|")


def instruction_sets() -> str:
    """Return the table of what each instruction set, and each generation of GPUs, multiplies in hardware."""
    lines = [PROCESSORS, "", "| instruction set | flag | multiplies | kernels |", "|---|---|---|---|"]
    for one in processors.INSTRUCTION_SETS:
        kernels = ", ".join(map(code, one.kernels))
        lines.append(f"| {one.name} | `{one.flag}` | {', '.join(one.multiplies)} | {kernels} |")
    lines += ["", "| number type | GPU of compute capability |", "|---|---|"]
    lines += [f"| {name} | {major}.{minor} |" for name, (major, minor) in processors.GPU_CAPABILITY.items()]
    return "\n".join(lines)


def descriptions() -> str:
    """What each class says of itself, once."""
    by_class: dict[type[Quant], list[str]] = {}
    for quant in choices("quant", Quant):
        by_class.setdefault(type(quant), []).append(quant.name)
    sections = []
    for cls, names in by_class.items():
        sections.append(f"## {', '.join(names)}\n\n```text\n{inspect.getdoc(cls)}\n```")
    return "\n\n".join(sections)


if __name__ == "__main__":
    print(INTRODUCTION, table(), instruction_sets(), descriptions(), sep="\n\n")
