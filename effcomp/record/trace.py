"""Samples of a resource trace."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GpuSample:
    """State of the GPU at one moment."""

    utilisation_percent: float
    temperature_c: float
    power_w: float
    memory_bytes: int
    """Memory in use on the whole board."""
    throttle_reasons: int = 0
    """NVML's bits of the reasons for which its clock is lower than it could be."""


@dataclass(frozen=True)
class Sample:
    """Memory and load of the measured process at one moment, and its GPU's state."""

    seconds: float
    rss_bytes: int
    cpu_percent: float
    """100 is one core."""
    gpu: GpuSample | None = None
