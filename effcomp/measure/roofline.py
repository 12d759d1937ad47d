"""Roofline: the least time that a call can take on this machine, by its operations and by the bytes it must read.

    floor = max(operations / rate of matrix products, bytes / bandwidth)      (Williams et al. 2009, "Roofline")

Rates and bandwidths are measured, not looked up. Runs in the measured process.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from effcomp.artifact.description import read_description, skeleton
from effcomp.core import machine
from effcomp.core.device import Device
from effcomp.core.processors import ComputeDtype
from effcomp.quant.dynamic_linear import dynamic_linear

SECONDS = 0.6
"""Time of calls for each rate and size, in seconds; all rates together take less than 10 s."""
SMALLEST_SIDE, LARGEST_SIDE = 128, {"cpu": 2048, "cuda": 8192}
"""Range of the number of rows and columns of the square matrices that are multiplied."""
MEMORY_BYTES = {"cpu": 2**28, "cuda": 2**31}
"""Size in bytes of an array that no cache holds."""
PROBE_SIDE = 256
Call = Callable[[], Any]
Product = Callable[[int], Call]
"""Function from a side to a call that multiplies two square matrices of that side."""


def machine_rates(device: Device) -> dict[str, float]:
    """Measure the rates that bound a call on this device (resolved), with the threads that are set.

    Returns:
        Operations per second of matrix products by number type (a multiplication and an addition are two): the best
        that the libraries reach, and at least the float32 rate, because products of any type can be computed in
        float32. A type that the device does not multiply in hardware is not measured and has the float32 rate; float8
        is left out there. `bytes_per_s`: reading memory; `cache_bytes_per_s`: reading what fits into half of the last
        cache, whose size is `cache_bytes` (0: the system does not say).
    """
    import torch

    with torch.inference_mode():
        rates: dict[str, float] = {"float32": best_rate(products("float32", device), device)}
        others: tuple[ComputeDtype, ...] = ("bfloat16", "float16", "int8", "float8")
        for compute_dtype in others:
            if machine.multiplies(compute_dtype, device):
                rates[compute_dtype] = max(rates["float32"], best_rate(products(compute_dtype, device), device))
            elif compute_dtype != "float8":
                rates[compute_dtype] = rates["float32"]
        cache_bytes = machine.cache_bytes(device)
        rates["bytes_per_s"] = reading_rate(MEMORY_BYTES[device.kind], device)
        rates["cache_bytes"] = cache_bytes
        rates["cache_bytes_per_s"] = reading_rate(cache_bytes // 2, device) if cache_bytes else rates["bytes_per_s"]
    return rates


def products(compute_dtype: ComputeDtype, device: Device) -> list[Product]:
    """Return the products in this number type, one for each library that has one."""
    import torch

    place = device.torch_name
    match compute_dtype:
        case "float32" if device.kind == "cpu" and torch.backends.mkldnn.is_available():
            return [float_product("float32", place), onednn_product]
        case "int8" if device.kind == "cpu":
            return [dynamic_product, *([integer_product(place)] if machine.has_vector_code("_int_mm") else [])]
        case "int8":
            return [integer_product(place)]
        case "float8":
            return [float8_product(place)]
        case _:
            return [float_product(compute_dtype, place)]


def float_product(compute_dtype: ComputeDtype, place: str) -> Product:
    def of(side: int) -> Call:
        import torch

        values = torch.randn(side, side, device=place).to(getattr(torch, compute_dtype))
        return lambda: values @ values.t()  # the form of a linear layer

    return of


def onednn_product(side: int) -> Call:
    """Return oneDNN's product of float32, which PyTorch does not use by default."""
    import torch

    values = torch.randn(side, side)
    packed = values.to_mkldnn()
    return lambda: torch.ops.aten.mkldnn_linear(packed, values)


def integer_product(place: str) -> Product:
    def of(side: int) -> Call:
        import torch

        codes = torch.randint(-127, 128, (side, side), device=place, dtype=torch.int8)
        return lambda: torch._int_mm(codes, codes.t())

    return of


def dynamic_product(side: int) -> Call:
    """Return FBGEMM's or oneDNN's product of int8, which includes the rounding of the activations."""
    import torch

    codes = torch.randint(-127, 128, (side, side), dtype=torch.int8)
    layer, values = dynamic_linear(codes, torch.ones(()), None), torch.randn(side, side)
    return lambda: layer(values)


def float8_product(place: str) -> Product:
    def of(side: int) -> Call:
        import torch

        scale, values = torch.ones((), device=place), torch.randn(side, side, device=place).to(torch.float8_e4m3fn)
        return lambda: torch._scaled_mm(values, values.t(), scale, scale, out_dtype=torch.bfloat16)

    return of


def best_rate(libraries: list[Product], device: Device) -> float:
    """Return the highest operations per second. Sides double until the largest is reached, or until two calls of the
    next one (eight times the work) would not end within SECONDS."""
    best = 0.0
    for product in libraries:
        side, end = SMALLEST_SIDE, time.perf_counter() + SECONDS
        while True:
            seconds = best_seconds(product(side), device, SECONDS / 8)
            best = max(best, 2 * side**3 / seconds)
            if side == LARGEST_SIDE[device.kind] or time.perf_counter() + 16 * seconds > end:
                break
            side *= 2
    return best


def slowdown(compute_dtype: ComputeDtype, device: Device) -> float:
    """Return the time of a small product in this number type, divided by that of one in float32."""
    place = device.torch_name
    product = integer_product(place) if compute_dtype == "int8" else float_product(compute_dtype, place)
    seconds = (best_seconds(one(PROBE_SIDE), device, 0.1) for one in (product, float_product("float32", place)))
    return next(seconds) / next(seconds)


def reading_rate(size: int, device: Device) -> float:
    """Return the highest bytes per second of reading, or of copying, `size` bytes of float32."""
    import torch

    data = torch.ones(size // 4, device=device.torch_name)
    half = data[: len(data) // 2]
    target = torch.empty_like(half)
    reading = data.nbytes / best_seconds(data.sum, device, SECONDS / 2)
    copying = 2 * half.nbytes / best_seconds(lambda: target.copy_(half), device, SECONDS / 2)
    return max(reading, copying)


def best_seconds(call: Call, device: Device, seconds: float) -> float:
    """Return the shortest time of a call, over as many as fit into the seconds after one that is not timed."""
    import torch

    def wait() -> None:
        if device.kind == "cuda":
            torch.cuda.synchronize(device.index)

    call()
    wait()
    best, end = float("inf"), time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        call()
        wait()
        best = min(best, time.perf_counter() - start)
        if time.perf_counter() > end:
            return best


def least_seconds(operations: int, needed_bytes: int, compute_dtype: ComputeDtype, rates: dict[str, float]) -> float:
    """Return the floor of a call in seconds; bytes that fit into the last cache are read from there.

    Args:
        needed_bytes: weights that each call reads.
        rates: as `machine_rates` returns them.
    """
    cached = min(needed_bytes, rates["cache_bytes"])
    reading = cached / rates["cache_bytes_per_s"] + (needed_bytes - cached) / rates["bytes_per_s"]
    return max(operations / rates[compute_dtype], reading)


def operations(folder: Path, shape: tuple[int, int]) -> int:
    """Count the operations of one call of this artifact's architecture with a batch of this shape (rows, tokens), on
    tensors without storage, which take no memory. Causal models: the logits of the last token."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    model, (rows, tokens) = skeleton(folder).eval().to("meta"), shape
    arguments: dict[str, Any] = {
        "input_ids": torch.zeros(shape, dtype=torch.int64, device="meta"),
        # A mask of four dimensions is used unchanged; transformers would read the values of any other.
        "attention_mask": torch.zeros((rows, 1, tokens, tokens), device="meta"),
    }
    if read_description(folder).head == "causal_lm":
        arguments["logits_to_keep"] = 1
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(**arguments)
    return int(counter.get_total_flops())
