"""Attention of a single query to a cache on a GPU, in Triton: keys and values are read once, in one kernel or two.

A compiler makes four kernels of the same sums, and reads every slot. Here blocks of slots that nobody attends to are
left out. Long caches are split over programs, whose parts a second kernel adds up (Dao et al. 2023, "Flash-Decoding for
long-context inference").
"""

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from effcomp.quant.few_tokens_gpu import early

SLOTS = 128
"""A program reads so many slots at a time."""
SLOTS_OF_PROGRAM = 128
LOWEST = tl.constexpr(-1e30)
"""A score that no slot has."""


@triton.jit
def part_kernel(  # type: ignore[no-untyped-def]
    query,
    keys,
    values,
    seen,
    sums,
    largest,
    totals,
    scaling,
    heads,
    shared,
    slots,
    features,
    SLOTS: tl.constexpr,
    FEATURES: tl.constexpr,
    PART: tl.constexpr,
    PARTS: tl.constexpr,
    EARLY: tl.constexpr,
):
    """Compute the attention of one head of one row to a part of the slots.

    query: (rows, heads, features), keys, values: (rows, heads / shared, slots, features), seen: (rows, slots) uint8,
    sums: (rows, heads, PARTS, features), largest, totals: (rows, heads, PARTS).
    """
    row, head, part = tl.program_id(0) // heads, tl.program_id(0) % heads, tl.program_id(1)
    feature = tl.arange(0, FEATURES)
    inside = feature < features
    if EARLY:
        gdc_launch_dependents()
        gdc_wait()
    asked = tl.load(query + tl.program_id(0) * features + feature, mask=inside, other=0).to(tl.float32) * scaling
    first = (row * (heads // shared) + head // shared).to(tl.int64) * slots * features
    highest, total = LOWEST, 0.0
    found = tl.zeros((FEATURES,), dtype=tl.float32)
    for start in range(part * PART, min((part + 1) * PART, slots), SLOTS):
        slot = start + tl.arange(0, SLOTS)
        visible = tl.load(seen + row * slots + slot, mask=slot < slots, other=0) != 0
        place = first + slot[:, None] * features + feature[None, :]
        there = visible[:, None] & inside[None, :]
        key = tl.load(keys + place, mask=there, other=0).to(tl.float32)
        value = tl.load(values + place, mask=there, other=0).to(tl.float32)
        scores = tl.where(visible, tl.sum(key * asked[None, :], axis=1), LOWEST)
        higher = tl.maximum(highest, tl.max(scores, axis=0))
        shares, kept = tl.where(visible, tl.exp(scores - higher), 0.0), tl.exp(highest - higher)
        found = found * kept + tl.sum(shares[:, None] * value, axis=0)
        total = total * kept + tl.sum(shares, axis=0)
        highest = higher
    index = tl.program_id(0) * PARTS + part
    if PARTS == 1:
        found = found / total
    else:
        tl.store(largest + index, highest)
        tl.store(totals + index, total)
    tl.store(sums + index * features + feature, found.to(sums.dtype.element_ty), mask=inside)


@triton.jit
def whole_kernel(  # type: ignore[no-untyped-def]
    sums,
    largest,
    totals,
    output,
    features,
    FEATURES: tl.constexpr,
    PARTS: tl.constexpr,
    PADDED: tl.constexpr,
    EARLY: tl.constexpr,
):
    """Add up the parts of one head of one row."""
    part, feature = tl.arange(0, PADDED), tl.arange(0, FEATURES)
    index, inside = tl.program_id(0) * PARTS + part, feature < features
    if EARLY:
        gdc_launch_dependents()
        gdc_wait()
    highest = tl.load(largest + index, mask=part < PARTS, other=LOWEST)
    weights = tl.exp(highest - tl.max(highest, axis=0))
    total = tl.sum(weights * tl.load(totals + index, mask=part < PARTS, other=0), axis=0)
    there = (part < PARTS)[:, None] & inside[None, :]
    found = tl.load(sums + index[:, None] * features + feature[None, :], mask=there, other=0)
    found = tl.sum(weights[:, None] * found, axis=0) / total
    tl.store(output + tl.program_id(0) * features + feature, found.to(output.dtype.element_ty), mask=inside)


@torch.library.custom_op("effcomp::attend_to_cache", mutates_args=())
def attend_to_cache(query: Tensor, keys: Tensor, values: Tensor, seen: Tensor, scaling: float) -> Tensor:
    """Return softmax(query keys^T * scaling) values over the slots that are seen.

    Args:
        query: (rows, heads, 1, features).
        keys, values: (rows, key heads, slots, features); neighbouring heads share a key head.
        seen: (rows, 1, 1, slots) bool; at least one slot of each row.

    Returns:
        (rows, heads, features), as query.
    """
    query, keys, values = query.contiguous(), keys.contiguous(), values.contiguous()
    rows, heads, _, features = query.shape
    slots, parts = keys.shape[2], triton.cdiv(keys.shape[2], SLOTS_OF_PROGRAM)
    output = query.new_empty(rows, heads, features)
    sums = output if parts == 1 else query.new_empty(rows, heads, parts, features, dtype=torch.float32)
    largest, totals = query.new_empty(2, rows, heads, parts, dtype=torch.float32).unbind()
    padded = triton.next_power_of_2(features)
    part_kernel[(rows * heads, parts)](
        query,
        keys,
        values,
        seen.expand(rows, 1, 1, slots).contiguous().view(torch.uint8),
        sums,
        largest,
        totals,
        scaling,
        heads,
        heads // keys.shape[1],
        slots,
        features,
        SLOTS=SLOTS,
        FEATURES=padded,
        PART=SLOTS_OF_PROGRAM,
        PARTS=parts,
        EARLY=early(query),
        num_warps=4,
        launch_pdl=early(query),
    )
    if parts > 1:
        whole_kernel[(rows * heads,)](
            sums,
            largest,
            totals,
            output,
            features,
            FEATURES=padded,
            PARTS=parts,
            PADDED=triton.next_power_of_2(parts),
            EARLY=early(query),
            num_warps=4,
            launch_pdl=early(query),
        )
    return output


@attend_to_cache.register_fake
def _(query: Tensor, keys: Tensor, values: Tensor, seen: Tensor, scaling: float) -> Tensor:
    return query.new_empty(query.shape[0], query.shape[1], query.shape[3])
