"""The memory of this process as the Linux kernel counts it."""

import gc
import os
from pathlib import Path

from effcomp.core.device import Device

STATUS = Path("/proc/self/status")
ROLLUP = Path("/proc/self/smaps_rollup")
CLEAR_REFS = Path("/proc/self/clear_refs")


def rss_bytes() -> int:
    """The resident set now (VmRSS)."""
    return read_kib("VmRSS") * 1024


def peak_rss_bytes() -> int:
    """The largest resident set since the last `reset_peak` (VmHWM); the kernel misses no peak."""
    return read_kib("VmHWM") * 1024


def pss_bytes() -> int:
    """The proportional set now: pages that other processes hold too count as their share (smaps_rollup, Pss)."""
    return read_kib("Pss", ROLLUP) * 1024


def reset_peak() -> None:
    """Set VmHWM to the resident set of now (proc(5), clear_refs, value 5)."""
    CLEAR_REFS.write_text("5")


def read_kib(field: str, file: Path = STATUS) -> int:
    for line in file.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise OSError(f"{file} has no {field}")


def reset_gpu_peak(device: Device) -> None:
    """Let `gpu_peak_bytes` begin at what PyTorch's tensors take now."""
    import torch

    if device.kind == "cuda" and torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats(device.index)


def gpu_peak_bytes(device: Device) -> int | None:
    """The most that PyTorch's tensors of this process took on this GPU; None on a CPU, and where it held none."""
    import torch

    return torch.cuda.max_memory_allocated(device.index) or None if device.kind == "cuda" else None


def release_gpu(device: Device) -> None:
    """Give back what PyTorch keeps of this GPU for its next tensors: other processes are measured there."""
    import torch

    if device.kind == "cuda" and torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()


def gpu_bytes(device: Device) -> dict[str, int]:
    """PyTorch's peaks on this GPU, and all that this process holds there by NVML (the CUDA context too).

    NVML counts process by process of the host; inside a container it may know this one by another number, and then
    what the board holds more than before the process came is not known: the key is left out.
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
