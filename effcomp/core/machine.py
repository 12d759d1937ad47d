"""Description of the machine: processor or GPU, the number types it multiplies in hardware, caches, libraries."""

import os
import platform
import subprocess
from functools import cache
from pathlib import Path

from effcomp.core import processors
from effcomp.core.device import Device
from effcomp.core.packages import versions

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
LIBRARIES = ("torch", "transformers", "bitsandbytes", "onnxruntime", "openvino", "nncf", "xllamacpp", "numpy", "mlflow")


@cache
def cpu_info() -> tuple[str, tuple[str, ...]]:
    """Return the processor's name, and the flags of its instruction sets that count for matrix products."""
    name, flags = platform.processor() or platform.machine(), set[str]()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() in {"flags", "Features"}:
            flags = set(value.split())
            break
    return name, tuple(one.flag for one in processors.INSTRUCTION_SETS if one.flag in flags)


def multiplies(compute_dtype: processors.ComputeDtype, device: Device) -> bool:
    """Return whether the device (resolved) multiplies matrices of this number type in hardware."""
    if device.kind == "cuda":
        import torch

        return torch.cuda.get_device_capability(device.index) >= processors.GPU_CAPABILITY[compute_dtype]
    return compute_dtype in processors.multiplied(cpu_info()[1])


def has_vector_code(operator: str) -> bool:
    """Return whether a library has more than scalar code for an operator on this processor."""
    return processors.emulation(None, (operator,), cpu_info()[1]) is None


def cache_bytes(device: Device) -> int:
    """Return the size of the device's last cache; 0 where the system does not say."""
    if device.kind == "cuda":
        import torch

        return int(torch.cuda.get_device_properties(device.index).L2_cache_size)
    sizes = [file.read_text().strip().removesuffix("K") for file in CACHES.glob("index*/size")]
    return max((int(size) for size in sizes), default=0) * 1024


def device_name(device: Device) -> str:
    if device.kind == "cuda":
        import torch

        return torch.cuda.get_device_name(device.index)
    return f"{cpu_info()[0]}, {os.cpu_count()} cores"


def library_versions(*more: str) -> dict[str, str]:
    """Return the versions of Python, of the libraries that compute, and of more, by import name; one that is not
    installed is left out."""
    return {"python": platform.python_version()} | versions(*LIBRARIES, *more)


def git_commit() -> str:
    """Return the commit of effcomp's own checkout, with `+changes` where files differ from it; empty outside git."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    commit = git("rev-parse", "HEAD")
    return f"{commit}+changes" if commit and git("status", "--porcelain", "--untracked-files=no") else commit
