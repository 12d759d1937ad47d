"""The likeliest token of each row of logits and its loss on a GPU, in one Triton kernel: the logits are read once."""

import torch
import triton
import triton.language as tl
from torch import Tensor

PART = 1024
"""Logits that a program reads; a power of two."""


@triton.jit
def likeliest_kernel(  # type: ignore[no-untyped-def]
    logits,
    highests,
    tokens,
    totals,
    arrived,
    answer,
    rows,
    classes,
    stride,
    parts,
    PART: tl.constexpr,
    PADDED: tl.constexpr,
):
    """Find the largest of PART logits of a row, and the sum of exponentials; the last program of a row joins its parts.

    logits: (rows, classes), highests, tokens, totals: (rows, parts), arrived: (rows,) int32 zeros, answer: (2, rows).
    """
    row, part = tl.program_id(0), tl.program_id(1)
    token = part * PART + tl.arange(0, PART)
    score = tl.load(logits + row * stride + token, mask=token < classes, other=-float("inf")).to(tl.float32)
    highest = tl.max(score, axis=0)
    place = row * parts + part
    tl.store(highests + place, highest)
    tl.store(tokens + place, tl.min(tl.where(score == highest, token, classes), axis=0))
    tl.store(totals + place, tl.sum(tl.exp(score - highest), axis=0))
    tl.debug_barrier()  # all threads have stored before one of them says so
    if tl.atomic_add(arrived + row, 1, sem="acq_rel") == parts - 1:
        every = tl.arange(0, PADDED) < parts
        places = row * parts + tl.arange(0, PADDED)
        found = tl.load(highests + places, mask=every, other=-float("inf"), cache_modifier=".cg")
        best = tl.max(found, axis=0)
        first = tl.load(tokens + places, mask=every & (found == best), other=classes, cache_modifier=".cg")
        sums = tl.load(totals + places, mask=every, other=0, cache_modifier=".cg")
        tl.store(answer + row, tl.min(first, axis=0).to(tl.float64))
        tl.store(answer + rows + row, tl.log(tl.sum(sums * tl.exp(found - best), axis=0)).to(tl.float64))
        tl.store(arrived + row, 0)


def likeliest_on_gpu(logits: Tensor) -> Tensor:
    """Return what `static_cache.likeliest` returns, the first of equals.

    Args:
        logits: (rows, classes) on a GPU, none of them NaN.

    Returns:
        (2, rows) float64: the tokens, and the loss of each in nats.
    """
    (rows, classes), parts = logits.shape, triton.cdiv(logits.shape[1], PART)
    highests, totals = logits.new_empty(2, rows, parts, dtype=torch.float32).unbind()
    tokens = logits.new_empty(rows, parts, dtype=torch.int32)
    arrived = logits.new_zeros(rows, dtype=torch.int32)
    answer = logits.new_empty(2, rows, dtype=torch.float64)
    likeliest_kernel[(rows, parts)](
        logits,
        highests,
        tokens,
        totals,
        arrived,
        answer,
        rows,
        classes,
        logits.stride(0),
        parts,
        PART=PART,
        PADDED=triton.next_power_of_2(parts),
        num_warps=4,
    )
    return answer
