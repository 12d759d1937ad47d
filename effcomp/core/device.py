"""The device that runs a model, and how many threads it may use."""

import os
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from effcomp.core.component import EACH_ONCE, Component
from effcomp.core.errors import UserError

ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**32), "MALLOC_TOP_PAD_": str(2**26)}
"""glibc keeps freed memory in the measured process. By default it returns each large activation to the
kernel and faults it in again: the same model in two processes then differs by up to 11 % at batch 32,
with these settings by under 2 % (benchmarks/same_model_twice.json)."""

WAITING = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "0"}
"""OpenMP threads that wait for one another sleep after some 20 microseconds (libgomp, whose default is milliseconds) or
at once (Intel's and LLVM's, whose default is 200 ms). On a busy core, threads that spin at a barrier keep the thread
that they wait for from moving to their core (benchmarks/busy_neighbour.py measures it)."""


class Device(Component):
    """Processor or GPU that a run trains and measures on, with its threads."""

    id: ClassVar[str] = "device"
    kind: Literal["auto", "cpu", "cuda"]
    """Kind of device; `auto` is a CUDA GPU where there is one, else the CPU. The record has the choice."""
    threads: Annotated[int, Field(ge=1)] | None
    """CPU threads of the measured process; null: every core that this process may use."""
    cores: Annotated[list[int], EACH_ONCE] | None = None
    """Cores that the measured processes are bound to, [0, 1]; null: the kernel chooses."""
    index: Annotated[int, Field(ge=0)] = 0
    """Index of the GPU, as PyTorch counts the visible ones."""
    emulated: bool = False
    """Measure in sweeps also the formats whose products this processor emulates, at many times the cost."""

    def check(self) -> None:
        """Raise UserError when the device is not there, or has fewer cores than threads are asked for."""
        allowed = os.sched_getaffinity(0)
        if self.cores is not None and (not self.cores or not set(self.cores) <= allowed):
            raise UserError(f"device.cores={self.cores}: this process may use {sorted(allowed)}; choose of those")
        cores = len(self.cores or allowed)
        if self.threads is not None and self.threads > cores:
            raise UserError(f"device.threads={self.threads}: this process may use {cores} cores; use at most {cores}")
        if self.kind == "cuda" or (self.kind == "auto" and self.index > 0):
            gpus = cuda_count()
            if gpus == 0:
                asked = "device=cuda" if self.kind == "cuda" else f"device.index={self.index}"
                raise UserError(f"{asked}: no CUDA device is visible; use device=cpu")
            if self.index >= gpus:
                raise UserError(f"device.index={self.index}: there are {gpus} CUDA devices, counted from 0")

    def resolved(self) -> "Device":
        """Return this device with `auto` resolved (CUDA where there is a GPU) and the threads counted."""
        kind = ("cuda" if cuda_count() else "cpu") if self.kind == "auto" else self.kind
        threads = self.threads or len(self.cores or os.sched_getaffinity(0))
        return self.model_copy(update={"kind": kind, "threads": threads})

    def environment(self) -> dict[str, str]:
        """Return the environment of a process that measures on this device: libraries read thread counts at first use.

        Every runtime's pool has this many threads. None spins for long: after its turn, a process leaves the cores to
        the other side of the pair.
        """
        threads = str(self.resolved().threads)
        return {
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "TOKENIZERS_PARALLELISM": "false",
            "KINETO_LOG_LEVEL": "99",  # the profiler's own log lines
            **WAITING,
            **ALLOCATOR,
        }

    @property
    def torch_name(self) -> str:
        return f"cuda:{self.index}" if self.kind == "cuda" else "cpu"


def cuda_count() -> int:
    """Return the number of CUDA devices that PyTorch sees."""
    import torch

    return torch.cuda.device_count()


def nvml_handle(index: int) -> "object":
    """Return NVML's handle of PyTorch's device `index`. NVML ignores CUDA_VISIBLE_DEVICES and counts by bus; CUDA
    counts the fastest first.
    """
    import pynvml
    import torch

    pynvml.nvmlInit()
    return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(index).uuid}")
