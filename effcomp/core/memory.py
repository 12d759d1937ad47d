"""Memory of this process: resident by the kernel, on a GPU by PyTorch and NVML."""

import gc
import os
from pathlib import Path

from effcomp.core.device import Device

STATUS = Path("/proc/self/status")
ROLLUP = Path("/proc/self/smaps_rollup")
CLEAR_REFS = Path("/proc/self/clear_refs")


def rss_bytes() -> int:
    """Return the resident set size now (VmRSS)."""
    return read_kib("VmRSS") * 1024


def peak_rss_bytes() -> int:
    """Return the largest resident set size since the last `reset_peak` (VmHWM); the kernel misses no peak."""
    return read_kib("VmHWM") * 1024


def pss_bytes() -> int:
    """Return the proportional set size now: a page counts by the share of this process in it (smaps_rollup, Pss)."""
    return read_kib("Pss", ROLLUP) * 1024


def reset_peak() -> None:
    """Set VmHWM to the current resident set size (proc(5), clear_refs, value 5)."""
    CLEAR_REFS.write_text("5")


def read_kib(field: str, file: Path = STATUS) -> int:
    for line in file.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise OSError(f"{file} has no {field}")


def reset_gpu_peak(device: Device) -> None:
    """Restart `gpu_peak_bytes` at the bytes that PyTorch's tensors take now."""
    import torch

    if device.kind == "cuda" and torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats(device.index)


def gpu_peak_bytes(device: Device) -> int | None:
    """Return the peak bytes of this process's PyTorch tensors on this GPU; None on a CPU, and where it held none."""
    import torch

    return torch.cuda.max_memory_allocated(device.index) or None if device.kind == "cuda" else None


def release_gpu(device: Device) -> None:
    """Release PyTorch's cached memory of this GPU, because other processes are measured there."""
    import torch

    if device.kind == "cuda" and torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()


def gpu_bytes(device: Device) -> dict[str, int]:
    """Return PyTorch's peaks on this GPU, and all that this process holds there by NVML (the CUDA context too).

    NVML counts by process number of the host. Inside a container the number may differ; the memory of the process
    is then unknown, and its key is left out.
    """
    import pynvml
    import torch

    from effcomp.core.device import nvml_handle

    found = {
        "allocated": torch.cuda.max_memory_allocated(device.index),
        "reserved": torch.cuda.max_memory_reserved(device.index),
    }
    try:
        for process in pynvml.nvmlDeviceGetComputeRunningProcesses(nvml_handle(device.index)):
            if process.pid == os.getpid() and process.usedGpuMemory:
                found["process"] = int(process.usedGpuMemory)
    except pynvml.NVMLError:
        pass
    return found
