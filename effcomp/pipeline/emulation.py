"""Detection, before a run, of number formats whose products the processor does not execute in hardware."""

import logging
from collections.abc import Collection

from effcomp.core import processors
from effcomp.core.device import Device
from effcomp.core.errors import Skipped
from effcomp.quant.base import Quant
from effcomp.quant.lowering import Lowering, lowering
from effcomp.runtimes.base import Runtime

log = logging.getLogger(__name__)


def check_emulated(quant: Quant, runtime: Runtime, device: Device, flags: Collection[str], in_sweep: bool) -> None:
    """Warn of a number format that the processor emulates, with its cost; leave it out of a sweep.

    Args:
        device: resolved.
        flags: of the processor, as in /proc/cpuinfo.

    Raises:
        Skipped: in a sweep, unless device.emulated=true.
    """
    if device.kind != "cpu":
        return
    lowered = lowering(quant, runtime.name, Lowering)
    lacking = lowered.lacks(flags)
    if lacking is None:
        return
    reason = f"quant={quant.name}: this processor has no {lacking}"
    if in_sweep and not device.emulated:
        raise Skipped(f"{reason}; device.emulated=true measures it all the same")
    log.warning("%s; %s", reason, cost(lowered.compute_dtype, runtime, device))


def cost(compute_dtype: processors.ComputeDtype, runtime: Runtime, device: Device) -> str:
    """Return the cost of emulation in words, measured on one product where PyTorch computes it."""
    if runtime.name not in {"torch", "compile"}:
        return "it is computed in float32"
    from effcomp.measure.roofline import slowdown

    times = slowdown(compute_dtype, device)
    return f"one product takes {times:.0f} times as long as in float32, so fewer examples (task.test_size=100) may do"
