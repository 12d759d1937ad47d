"""Attention of a single query to a cache on a GPU, in one Triton kernel: keys and values are read and stored once.

A compiler makes four kernels of the same sums, and reads every slot. Here blocks of slots that nobody attends to are
left out. A cache is split over programs; the last of a head's to finish adds up their parts (Dao et al. 2023,
"Flash-Decoding for long-context inference", in one launch). The token that is read now is stored on the way.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from effcomp.quant.few_tokens_gpu import early

PART = 64
"""Slots that a program reads; a power of two."""
LONG = 1024
"""Slots of a cache of which a program reads twice as many, if two of them fit in its registers (on an H200, 16.4 us
for 18.9 at 4,096 slots, and no difference at 1,024)."""
LOWEST = tl.constexpr(-1e30)
"""A score that no slot has."""


@triton.jit
def attention_kernel(  # type: ignore[no-untyped-def]
    query,
    keys,
    values,
    new_key,
    new_value,
    slot,
    seen,
    arrived,
    output,
    sums,
    largest,
    totals,
    scaling,
    heads,
    shared,
    slots,
    features,
    query_row,
    query_head,
    key_row,
    key_head,
    value_row,
    value_head,
    NEW: tl.constexpr,
    PART: tl.constexpr,
    FEATURES: tl.constexpr,
    PARTS: tl.constexpr,
    PADDED: tl.constexpr,
    EARLY: tl.constexpr,
):
    """Compute the attention of one head of one row to PART slots; the last program of a head adds up its parts.

    query: (rows, heads, features), keys, values: (rows, heads / shared, slots, features), new_key, new_value: (rows,
    heads / shared, features), seen: (rows, slots) uint8, arrived: (rows * heads,) int32 zeros, output: (rows, heads,
    features), sums: (rows, heads, PARTS, features), largest, totals: (rows, heads, PARTS).
    """
    row, head, part = tl.program_id(0) // heads, tl.program_id(0) % heads, tl.program_id(1)
    feature, place = tl.arange(0, FEATURES), part * PART + tl.arange(0, PART)
    inside, key_head_index = feature < features, head // shared
    first = (row * (heads // shared) + key_head_index).to(tl.int64) * slots * features
    cached = first + place[:, None] * features + feature[None, :]
    if EARLY:
        gdc_launch_dependents()
        if not NEW:
            gdc_wait()
    # With NEW, what is read here was written before the model's first block was called.
    visible = tl.load(seen + row * slots + place, mask=place < slots, other=0) != 0
    now = tl.load(slot) if NEW else -1
    there = (visible & (place != now))[:, None] & inside[None, :]
    key = tl.load(keys + cached, mask=there, other=0)
    value = tl.load(values + cached, mask=there, other=0)
    if EARLY and NEW:
        gdc_wait()
    asked = tl.load(query + row * query_row + head * query_head + feature, mask=inside, other=0)
    if NEW:
        own_key = tl.load(new_key + row * key_row + key_head_index * key_head + feature, mask=inside, other=0)
        own_value = tl.load(new_value + row * value_row + key_head_index * value_head + feature, mask=inside, other=0)
        own = (place == now)[:, None]
        key, value = tl.where(own, own_key[None, :], key), tl.where(own, own_value[None, :], value)
        if (now // PART == part) & (head % shared == 0):
            tl.store(keys + first + now * features + feature, own_key, mask=inside)
            tl.store(values + first + now * features + feature, own_value, mask=inside)
    scores = tl.sum(key.to(tl.float32) * (asked.to(tl.float32) * scaling)[None, :], axis=1)
    scores = tl.where(visible, scores, LOWEST)
    highest = tl.max(scores, axis=0)
    shares = tl.where(visible, tl.exp(scores - highest), 0.0)
    total, found = tl.sum(shares, axis=0), tl.sum(shares[:, None] * value.to(tl.float32), axis=0)
    answer = output + tl.program_id(0) * features + feature
    if PARTS == 1:
        tl.store(answer, (found / total).to(output.dtype.element_ty), mask=inside)
    else:
        index = tl.program_id(0) * PARTS + part
        tl.store(sums + index * features + feature, found, mask=inside)
        tl.store(largest + index, highest)
        tl.store(totals + index, total)
        tl.debug_barrier()  # all threads have stored before one of them says so
        if tl.atomic_add(arrived + tl.program_id(0), 1, sem="acq_rel") == PARTS - 1:
            parts = tl.arange(0, PADDED)
            every, all_parts = parts < PARTS, tl.program_id(0) * PARTS + parts
            highests = tl.load(largest + all_parts, mask=every, other=LOWEST, cache_modifier=".cg")
            weights = tl.exp(highests - tl.max(highests, axis=0))
            share_sums = tl.load(totals + all_parts, mask=every, other=0, cache_modifier=".cg")
            both = every[:, None] & inside[None, :]
            of_part = sums + all_parts[:, None] * features + feature[None, :]
            weighed = weights[:, None] * tl.load(of_part, mask=both, other=0, cache_modifier=".cg")
            whole = tl.sum(weighed, axis=0) / tl.sum(weights * share_sums, axis=0)
            tl.store(answer, whole.to(output.dtype.element_ty), mask=inside)
            tl.store(arrived + tl.program_id(0), 0)


@torch.library.custom_op("effcomp::attend_to_cache", mutates_args=("keys", "values", "arrived"))
def attend_to_cache(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    seen: Tensor,
    arrived: Tensor,
    scaling: float,
    new_key: Tensor | None = None,
    new_value: Tensor | None = None,
    slot: Tensor | None = None,
) -> Tensor:
    """Return softmax(query keys^T * scaling) values over the slots that are seen.

    Args:
        query: (rows, heads, 1, features).
        keys, values: (rows, key heads, slots, features), contiguous where a token is written; neighbouring heads share
            a key head.
        seen: (rows, 1, 1, slots) bool; at least one slot of each row.
        arrived: (rows * heads,) int32 or longer, zeros before and after.
        new_key, new_value: (rows, key heads, 1, features), which are written to `slot` and attended to where it is
            seen; None: they are there already.
        slot: (1,) int64. It and `seen` are older than the kernel before this one.

    Returns:
        (rows, heads, features), as query.
    """
    rows, heads, _, features = query.shape
    keys, values = keys.contiguous(), values.contiguous()
    inputs = query, query if new_key is None else new_key, query if new_value is None else new_value
    query, key, value = (one if one.stride(-1) == 1 else one.contiguous() for one in inputs)
    slots = keys.shape[2]
    part = 2 * PART if slots > LONG and query.element_size() == 2 else PART
    parts = triton.cdiv(slots, part)
    output = query.new_empty(rows, heads, features)
    several = rows * heads * parts if parts > 1 else 1
    sums = query.new_empty(several, features, dtype=torch.float32)
    largest, totals = query.new_empty(2, several, dtype=torch.float32).unbind()
    attention_kernel[(rows * heads, parts)](
        query,
        keys,
        values,
        key,
        value,
        slot,
        seen.expand(rows, 1, 1, slots).contiguous().view(torch.uint8),
        arrived,
        output,
        sums,
        largest,
        totals,
        scaling,
        heads,
        heads // keys.shape[1],
        slots,
        features,
        query.stride(0),
        query.stride(1),
        key.stride(0),
        key.stride(1),
        value.stride(0),
        value.stride(1),
        NEW=slot is not None,
        PART=part,
        FEATURES=triton.next_power_of_2(features),
        PARTS=parts,
        PADDED=triton.next_power_of_2(parts),
        EARLY=early(query),
        num_warps=4,
        launch_pdl=early(query),
    )
    return output


@attend_to_cache.register_fake
def _(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    seen: Tensor,
    arrived: Tensor,
    scaling: float,
    new_key: Tensor | None = None,
    new_value: Tensor | None = None,
    slot: Tensor | None = None,
) -> Tensor:
    return query.new_empty(query.shape[0], query.shape[1], query.shape[3])
