"""The memory of this process as the Linux kernel counts it."""

import os
from pathlib import Path

from effcomp.device import Device

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


def gpu_bytes(device: Device) -> dict[str, int]:
    """PyTorch's peaks on this GPU, and all that this process holds there by NVML (the CUDA context too).

    NVML counts process by process of the host; inside a container it may know this one by another number, and then
    what the board holds more than before the process came is not known: the key is left out.
    """
    import pynvml
    import torch

    from effcomp.measure.energy import nvml_handle

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
