"""Show what this machine can run: its processor, GPU, memory and libraries, and each number format on each runtime."""

import os
import platform
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from effcomp import __version__
from effcomp.core import machine, processors
from effcomp.core.command_line import Parser
from effcomp.core.errors import UserError
from effcomp.core.packages import installation
from effcomp.core.text import labelled
from effcomp.pipeline.compose import choices
from effcomp.quant.base import Quant
from effcomp.quant.lowering import Lowering, lowerings
from effcomp.runtimes.base import Runtime

INDENT = 11
DEVICES = {"cpu": "CPU", "cuda": "GPU"}
NO_GPU = "needs an NVIDIA GPU that PyTorch sees"


@dataclass(frozen=True)
class Gpu:
    """GPU that PyTorch can use."""

    name: str
    capability: tuple[int, int]
    memory_bytes: int


def main() -> None:
    """Print one screen about this machine."""
    Parser(prog="effcomp doctor", description=__doc__).parse_args()
    gpus = visible_gpus()
    lines = [*about(gpus), "", *matrix(machine.cpu_info()[1], gpus[0] if gpus else None)]
    print("\n".join(lines))


def about(gpus: list[Gpu]) -> list[str]:
    """Return lines about the hardware and the libraries."""
    import psutil

    name, flags = machine.cpu_info()
    sets = [one.name for one in processors.INSTRUCTION_SETS if one.flag in flags]
    memory, disk = psutil.virtual_memory(), shutil.disk_usage(Path.cwd())
    versions = [f"{library} {version}" for library, version in machine.library_versions().items()]
    facts = {
        "effcomp": f"{__version__}, {platform.system()} {platform.machine()}",
        "processor": f"{name}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores for this process",
        "": f"{', '.join(sets) or 'no instruction set that counts'}; multiplies "
        f"{', '.join(sorted(processors.multiplied(flags))) or 'nothing'} in hardware",
        "GPU": "; ".join(map(described, gpus)) or "none that PyTorch sees",
        "memory": f"{gigabytes(memory.total)}, {gigabytes(memory.available)} of it free; "
        f"{gigabytes(disk.free)} free on this disk",
        "libraries": ", ".join(versions),
    }
    return [labelled(what, text, INDENT) for what, text in facts.items()]


def gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"


def described(gpu: Gpu) -> str:
    major, minor = gpu.capability
    return f"{gpu.name}, compute capability {major}.{minor}, {gigabytes(gpu.memory_bytes)}"


def matrix(flags: tuple[str, ...], gpu: Gpu | None) -> list[str]:
    """Return the table of formats and runtimes, and the reasons that its numbers stand for.

    Args:
        flags: of the processor, as in /proc/cpuinfo.
        gpu: the GPU that device=auto would choose.
    """
    runtimes = choices("runtime", Runtime)
    missing = {runtime.name: missing_library(runtime) for runtime in runtimes}
    reasons: dict[str, int] = {}

    def cell(quant: Quant, runtime: Runtime) -> str:
        there = lowerings(quant)
        if not there:
            return mark(f"as its settings say: effcomp help quant={quant.name}", reasons)
        if (lowered := there.get(runtime.name)) is None:
            return "-"
        if absent := missing[runtime.name] or missing_package(quant):
            return f"no {mark(absent, reasons)}"
        found = {kind: obstacle(lowered, runtime, kind, flags, gpu) for kind in ("cpu", "cuda")}
        runs = [DEVICES[kind] for kind, reason in found.items() if reason is None]
        if runs:
            return " ".join(runs)
        emulates = runs_on(lowered, runtime, "cpu")
        reason = found["cpu" if emulates else "cuda"]
        assert reason is not None
        return f"{'slow' if emulates else 'no'} {mark(reason, reasons)}"

    rows = [[quant.name, *(cell(quant, runtime) for runtime in runtimes)] for quant in choices("quant", Quant)]
    table = [["format", *(runtime.name for runtime in runtimes)], *rows]
    lines = ["".join(f"{text:13}" for text in row).rstrip() for row in table]
    notes = [labelled(f"({number})", reason, INDENT) for reason, number in reasons.items()]
    return [*lines, "", "CPU, GPU: runs there.  -: the runtime does not execute the format.", *notes]


def mark(reason: str, reasons: dict[str, int]) -> str:
    """Return the number of a reason, which is added where it is new."""
    return f"({reasons.setdefault(reason, len(reasons) + 1)})"


def missing_library(runtime: Runtime) -> str | None:
    """Return the library that a runtime lacks on this machine, with the command that installs it; None if none."""
    try:
        runtime.check()
    except UserError as error:
        return str(error)
    return None


def missing_package(quant: Quant) -> str | None:
    """Return the package that a number format lacks."""
    return next((installation(package) for package in quant.packages if find_spec(package) is None), None)


def runs_on(lowered: Lowering, runtime: Runtime, kind: str) -> bool:
    return kind in runtime.devices and kind in lowered.devices


def obstacle(lowered: Lowering, runtime: Runtime, kind: str, flags: tuple[str, ...], gpu: Gpu | None) -> str | None:
    """Return the reason why a kind of device does not execute a format on a runtime in hardware; None where it does."""
    if not runs_on(lowered, runtime, kind):
        return f"does not run on {kind}"
    if kind == "cuda":
        needs = max(lowered.capability, runtime.capability)
        if gpu is None:
            return NO_GPU
        return f"needs a GPU of compute capability {needs[0]}.{needs[1]}" if gpu.capability < needs else None
    lacking = lowered.lacks(flags)
    if lacking is None:
        return None
    return f"this processor has no {lacking}: sweeps leave it out, unless device.emulated=true"


def visible_gpus() -> list[Gpu]:
    """Return the GPUs that PyTorch can use. PyTorch takes seconds to import, so the driver is asked first."""
    import pynvml

    try:
        pynvml.nvmlInit()
        if pynvml.nvmlDeviceGetCount() == 0:
            return []
    except pynvml.NVMLError:
        return []
    import torch

    found = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return [Gpu(one.name, (one.major, one.minor), one.total_memory) for one in found]
