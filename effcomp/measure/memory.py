"""The memory of this process as the Linux kernel counts it."""

from pathlib import Path

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")


def rss_bytes() -> int:
    """The resident set now (VmRSS)."""
    return read_kib("VmRSS") * 1024


def peak_rss_bytes() -> int:
    """The largest resident set since the last `reset_peak` (VmHWM); the kernel misses no peak."""
    return read_kib("VmHWM") * 1024


def reset_peak() -> None:
    """Set VmHWM to the resident set of now (proc(5), clear_refs, value 5)."""
    CLEAR_REFS.write_text("5")


def read_kib(field: str) -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise OSError(f"{STATUS} has no {field}")
