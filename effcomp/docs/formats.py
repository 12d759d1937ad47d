"""Generator of docs/formats.md:  python -m effcomp.docs.formats >docs/formats.md"""

import inspect

from effcomp.core import processors
from effcomp.pipeline.compose import choices
from effcomp.quant.base import Quant
from effcomp.quant.lowering import lowerings
from effcomp.quant.tensors import ALL_PARAMETERS
from effcomp.runtimes.base import Runtime

INTRODUCTION = """# Number formats

Which runtime executes a format, on which device, and which parameters it applies to; other parameters stay float32,
unless the format says otherwise below. Expected kernels are regular expressions; a run that executes none of them is
flagged in its record. Computed in: the type of the products, whose rate the roofline uses. Tolerance: the largest
difference of a logit from the float32 model's that the tests accept, as a share of the logits' range. Every
runtime writes texts and is measured token by token (`compile` translates the model once more for it;
`bench.new_tokens=0` leaves it out).

Generated from the registry of lowerings (effcomp/quant/lowering.py) by `make docs`."""
COLUMNS = ("format", "runtime", "device", "applies to", "expected kernels", "computed in", "tolerance")


PROCESSORS = """## What a processor executes

Number types that each instruction set multiplies in hardware, and parts of the names of oneDNN's and OpenVINO's kernels
that use it. A format in another type is emulated: a sweep leaves it out, unless `device.emulated=true`; alone it runs,
after a warning that says what it costs."""


def table() -> str:
    """Return a Markdown table of the formats of conf/quant on the runtimes of conf/runtime that execute them."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    runtimes = {runtime.name: runtime for runtime in choices("runtime", Runtime)}
    for quant in choices("quant", Quant):
        for runtime, one in lowerings(quant).items():
            cells = (
                quant.name,
                runtime,
                ", ".join(device for device in one.devices if device in runtimes[runtime].devices),
                "all" if one.applies_to == ALL_PARAMETERS else ", ".join(one.applies_to) or "-",
                " or ".join(code(name) for name in one.expected_kernels) or "-",
                one.compute_dtype,
                f"{one.tolerance:g}",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def code(name: str) -> str:
    """Quote a name in a cell of a table."""
    return f"`{name}`".replace("|", "\\|")


def instruction_sets() -> str:
    """Return the table of number types that each instruction set and GPU generation multiplies in hardware."""
    lines = [PROCESSORS, "", "| instruction set | flag | multiplies | kernels |", "|---|---|---|---|"]
    for one in processors.INSTRUCTION_SETS:
        kernels = ", ".join(map(code, one.kernels))
        lines.append(f"| {one.name} | `{one.flag}` | {', '.join(one.multiplies)} | {kernels} |")
    lines += ["", "| number type | GPU of compute capability |", "|---|---|"]
    lines += [f"| {name} | {major}.{minor} |" for name, (major, minor) in processors.GPU_CAPABILITY.items()]
    return "\n".join(lines)


def descriptions() -> str:
    """Return the docstring of each format class, under the names of its choices."""
    by_class: dict[type[Quant], list[str]] = {}
    for quant in choices("quant", Quant):
        by_class.setdefault(type(quant), []).append(quant.name)
    sections = []
    for cls, names in by_class.items():
        sections.append(f"## {', '.join(names)}\n\n```text\n{inspect.getdoc(cls)}\n```")
    return "\n\n".join(sections)


if __name__ == "__main__":
    print(INTRODUCTION, table(), instruction_sets(), descriptions(), sep="\n\n")
