"""What the numbers were measured on."""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from effcomp.core.device import Device

INSTRUCTION_SETS = (
    "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16",
    "amx_tile", "amx_int8", "amx_bf16", "asimddp", "i8mm", "bf16", "sve",
)  # fmt: skip
LIBRARIES = ("torch", "transformers", "bitsandbytes", "onnxruntime", "openvino", "nncf", "numpy", "mlflow")


@cache
def cpu_info() -> tuple[str, tuple[str, ...]]:
    """The processor's name, and those of its instruction sets that matter to matrix products."""
    name, flags = platform.processor() or platform.machine(), set[str]()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() in {"flags", "Features"}:
            flags = set(value.split())
            break
    return name, tuple(flag for flag in INSTRUCTION_SETS if flag in flags)


def has_bf16(device: Device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware."""
    if device.kind == "cuda":
        import torch

        return torch.cuda.get_device_capability(device.index) >= (8, 0)
    return any(flag in cpu_info()[1] for flag in ("avx512_bf16", "amx_bf16", "bf16"))


def device_name(device: Device) -> str:
    if device.kind == "cuda":
        import torch

        return torch.cuda.get_device_name(device.index)
    return f"{cpu_info()[0]}, {os.cpu_count()} cores"


def library_versions() -> dict[str, str]:
    """The versions of the libraries that compute; one that is not installed is left out."""
    versions = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            continue
    return versions


def git_commit() -> str:
    """The commit of effcomp's own checkout, with `+changes` where files differ from it; empty outside git."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    commit = git("rev-parse", "HEAD")
    return f"{commit}+changes" if commit and git("status", "--porcelain", "--untracked-files=no") else commit
