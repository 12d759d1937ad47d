"""The floor: the least time that a call can take on this machine, by its arithmetic and by the bytes it must read.

    floor = max(operations / rate of matrix products, bytes / memory bandwidth)      (Williams et al. 2009, Roofline)

Rate and bandwidth are measured, not looked up. Runs in the measured process.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from effcomp.artifact.description import read_description, skeleton
from effcomp.core.device import Device
from effcomp.quant.fp8 import Fp8
from effcomp.quant.int8_dynamic import dynamic_linear

SECONDS = 1.0
"""Each rate is the best of as many tries as fit."""
SIDE = {"cpu": 2048, "cuda": 8192}
"""Of the square matrices that are multiplied: large enough that nothing but the product counts."""
HALVES = 256
"""Of those in float16 on a processor: one that has no instructions for them takes a minute for larger ones."""
BANDWIDTH_BYTES = {"cpu": 2**28, "cuda": 2**31}
"""Of the array that is read: far larger than any cache."""


def machine_rates(device: Device) -> dict[str, float]:
    """Operations per second (a multiplication and an addition are two) of float32, bfloat16, float16, int8 and, where a
    GPU has it, float8 matrix products, and `bytes_per_s` of reading memory; on this device (resolved), with the
    threads that are set.

    Each the best of what the libraries reach, because some kernel library is always behind another on some processor.
    Where float16 has no instructions it can be multiplied as float32.
    """
    import torch

    side, place = SIDE[device.kind], device.torch_name
    values = torch.randn(side, side, device=place)
    bfloats, halves = values.bfloat16(), (values if device.kind == "cuda" else values[:HALVES, :HALVES]).half()
    codes = torch.randint(-127, 128, (side, side), device=place, dtype=torch.int8)
    products: dict[str, list[Callable[[], Any]]] = {
        "float32": [lambda: values @ values, lambda: values @ values.t()],
        "bfloat16": [lambda: bfloats @ bfloats, lambda: bfloats @ bfloats.t()],
        "int8": [lambda: torch._int_mm(codes, codes.t())],  # how the kernels want it: the second one by columns
    }
    if device.kind == "cuda" and torch.cuda.get_device_capability(device.index) >= Fp8.capability:
        scale, eights = torch.ones((), device=place), values.to(torch.float8_e4m3fn)
        products["float8"] = [lambda: torch._scaled_mm(eights, eights.t(), scale, scale, out_dtype=torch.bfloat16)]
    if device.kind == "cpu":
        layer = dynamic_linear(codes, torch.ones(()), None)
        products["int8"].append(lambda: layer(values))
        if torch.backends.mkldnn.is_available():  # oneDNN, which PyTorch leaves aside for float32
            packed = values.to_mkldnn()
            products["float32"].append(lambda: torch.ops.aten.mkldnn_linear(packed, values))
    with torch.inference_mode():
        rates = {
            name: 2 * side**3 / min(best_seconds(call, device) for call in calls) for name, calls in products.items()
        }
        own = 2 * len(halves) ** 3 / best_seconds(lambda: halves @ halves, device)
        rates["float16"] = max(own, rates["float32"])
        data = torch.ones(BANDWIDTH_BYTES[device.kind] // 4, device=place)
        target = torch.empty_like(data)
        reading = data.nbytes / best_seconds(data.sum, device)
        copying = 2 * data.nbytes / best_seconds(lambda: target.copy_(data), device)
    return {**rates, "bytes_per_s": max(reading, copying)}


def best_seconds(call: Callable[[], Any], device: Device) -> float:
    import torch

    def wait() -> None:
        if device.kind == "cuda":
            torch.cuda.synchronize(device.index)

    call()
    wait()
    best, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        wait()
        best = min(best, time.perf_counter() - start)
    return best


def operations(folder: Path, shape: tuple[int, int]) -> int:
    """The arithmetic of one call of this artifact's architecture with a batch of this shape (rows, tokens); counted
    by PyTorch on tensors that hold nothing, so it costs no memory. Causal models: the logits of the last token."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    model, (rows, tokens) = skeleton(folder).eval().to("meta"), shape
    arguments: dict[str, Any] = {
        "input_ids": torch.zeros(shape, dtype=torch.int64, device="meta"),
        # Of four dimensions it is taken as it is; any other mask is looked into, and there is nothing to see.
        "attention_mask": torch.zeros((rows, 1, tokens, tokens), device="meta"),
    }
    if read_description(folder).head == "causal_lm":
        arguments["logits_to_keep"] = 1
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(**arguments)
    return int(counter.get_total_flops())
