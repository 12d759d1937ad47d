"""Products of a few tokens with a matrix on a GPU, in Triton: the time is that of reading the weights once.

A library's product is made for many tokens: for one it splits the sum over blocks and adds these up in a second kernel,
and it reads no codes. Imported where a model is decoded.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

COLUMNS = 1024
"""Number of weights of a row that a program reads at a time; all of a short row where there are few rows."""

ROWS_OF_GROUPS = 4
"""Outputs of a program that reads 4-bit codes."""


@triton.jit
def rows_kernel(  # type: ignore[no-untyped-def]
    values,
    weight,
    scale,
    bias,
    output,
    outputs,
    width,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SCALED: tl.constexpr,
    BIASED: tl.constexpr,
    EARLY: tl.constexpr,
):
    """Compute ROWS outputs of one token. values: (tokens, width), weight: (outputs, width), scale, bias: (outputs,)."""
    token, rows = tl.program_id(1), tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    there, columns = rows < outputs, tl.arange(0, COLUMNS)
    place = weight + rows.to(tl.int64)[:, None] * width + columns[None, :]
    if EARLY:
        gdc_launch_dependents()
    stored = tl.load(place, mask=there[:, None] & (columns < width)[None, :], other=0)
    if EARLY:
        gdc_wait()
    value = tl.load(values + token * width + columns, mask=columns < width, other=0)
    sums = stored.to(tl.float32) * value.to(tl.float32)[None, :]
    for first in range(COLUMNS, width, COLUMNS):
        inside = first + columns < width
        stored = tl.load(place + first, mask=there[:, None] & inside[None, :], other=0)
        value = tl.load(values + token * width + first + columns, mask=inside, other=0)
        sums += stored.to(tl.float32) * value.to(tl.float32)[None, :]
    found = tl.sum(sums, axis=1)
    if SCALED:
        found *= tl.load(scale + rows, mask=there, other=0)
    if BIASED:
        found += tl.load(bias + rows, mask=there, other=0).to(tl.float32)
    tl.store(output + token * outputs + rows, found.to(output.dtype.element_ty), mask=there)


@triton.jit
def code_at(stored, PLACE: tl.constexpr):  # type: ignore[no-untyped-def]
    """Return the PLACE-th 4-bit code of each word less 8, for PLACE up to 4.

    In the mantissa of a power of two it is that power plus the code: this needs no conversion, and no shift.
    """
    bits = (stored & (15 << (4 * PLACE))) | ((150 - 4 * PLACE) << 23)
    return bits.to(tl.float32, bitcast=True) - ((1 << (23 - 4 * PLACE)) + 8.0)


@triton.jit
def groups_kernel(  # type: ignore[no-untyped-def]
    planes,
    packed,
    scale,
    zero_point,
    bias,
    output,
    outputs,
    width,
    groups,
    SHARED: tl.constexpr,
    ROWS: tl.constexpr,
    WORDS: tl.constexpr,
    ZEROS: tl.constexpr,
    BIASED: tl.constexpr,
    EARLY: tl.constexpr,
):
    """Compute ROWS outputs of one token. planes: (tokens, 8, width), packed: (outputs, width) int32 with eight codes in
    a word, scale, zero_point: (outputs, groups); SHARED words of a row have one scale.
    """
    token, rows = tl.program_id(1), tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    there, columns = rows < outputs, tl.arange(0, WORDS)
    place, values = packed + rows.to(tl.int64)[:, None] * width, planes + token * 8 * width
    sums = tl.zeros((ROWS, WORDS), dtype=tl.float32)
    if EARLY:
        gdc_launch_dependents()
    stored = tl.load(place + columns[None, :], mask=there[:, None] & (columns < width)[None, :], other=0)
    if EARLY:
        gdc_wait()
    for first in range(0, width, WORDS):
        now, inside, later = stored, first + columns < width, first + WORDS + columns
        stored = tl.load(place + later[None, :], mask=there[:, None] & (later < width)[None, :], other=0)
        group, both = rows[:, None] * groups + ((first + columns) // SHARED)[None, :], there[:, None] & inside[None, :]
        products, total = tl.zeros((ROWS, WORDS), dtype=tl.float32), tl.zeros((WORDS,), dtype=tl.float32)
        shifted = now >> 12  # the last three codes, in places 2 to 4
        for plane in tl.static_range(8):
            code = code_at(now, plane) if plane < 5 else code_at(shifted, plane - 3)
            value = tl.load(values + plane * width + first + columns, mask=inside, other=0).to(tl.float32)
            products += code * value[None, :]
            total += value
        if ZEROS:
            products -= tl.load(zero_point + group, mask=both, other=0) * total[None, :]
        sums += products * tl.load(scale + group, mask=both, other=0)
    found = tl.sum(sums, axis=1)
    if BIASED:
        found += tl.load(bias + rows, mask=there, other=0).to(tl.float32)
    tl.store(output + token * outputs + rows, found.to(output.dtype.element_ty), mask=there)


def early(values: Tensor) -> bool:
    """Tell whether a kernel may start while the one before it ends: from Hopper on."""
    return torch.cuda.get_device_capability(values.device) >= (9, 0)


@torch.library.custom_op("effcomp::few_tokens_rows", mutates_args=())
def few_tokens_rows(values: Tensor, weight: Tensor, scale: Tensor | None, bias: Tensor | None) -> Tensor:
    """Return values @ weight^T * scale + bias, summed in float32.

    Args:
        values: (tokens, in), floating point.
        weight: (out, in), floating point or int8.
        scale: (out,) float32.
        bias: (out,).

    Returns:
        (tokens, out), as values.
    """
    values, (outputs, width) = values.contiguous(), weight.shape
    output, padded = values.new_empty(len(values), outputs), triton.next_power_of_2(width)
    rows = 4 if width <= COLUMNS else 2  # the fastest on an H200, as are the four warps
    rows_kernel[(triton.cdiv(outputs, rows), len(values))](
        values,
        weight,
        scale,
        bias,
        output,
        outputs,
        width,
        ROWS=rows,
        COLUMNS=padded if padded <= 4 * COLUMNS and outputs <= 2 * COLUMNS else min(COLUMNS, padded),
        SCALED=scale is not None,
        BIASED=bias is not None,
        EARLY=early(values),
        num_warps=4,
        **({"launch_pdl": True} if early(values) else {}),
    )
    return output


@few_tokens_rows.register_fake
def _(values: Tensor, weight: Tensor, scale: Tensor | None, bias: Tensor | None) -> Tensor:
    return values.new_empty(values.shape[0], weight.shape[0])


@torch.library.custom_op("effcomp::few_tokens_groups", mutates_args=())
def few_tokens_groups(
    planes: Tensor, packed: Tensor, scale: Tensor, zero_point: Tensor | None, bias: Tensor | None
) -> Tensor:
    """Return values @ weight^T + bias with a weight of 4 bits, summed in float32.

    Args:
        planes: (tokens, 8, in / 8), floating point: value i of a token in plane i % 8.
        packed: (out, in / 2) uint8, codes + 8, the even columns in the low half; in is a multiple of 8.
        scale: (out, groups) float32, of in / groups columns each, a multiple of 8.
        zero_point: (out, groups) float32; None: all are 0.
        bias: (out,).

    Returns:
        (tokens, out), as planes.
    """
    planes, words, outputs = planes.contiguous(), packed.view(torch.int32), len(packed)
    output, width, groups = planes.new_empty(len(planes), outputs), words.shape[1], scale.shape[1]
    columns, warps = (128, 1) if width <= 128 or outputs >= 3072 else (256, 2)  # the fastest on an H200
    groups_kernel[(triton.cdiv(outputs, ROWS_OF_GROUPS), len(planes))](
        planes,
        words,
        scale,
        zero_point,
        bias,
        output,
        outputs,
        width,
        groups,
        SHARED=width // groups,
        ROWS=ROWS_OF_GROUPS,
        WORDS=min(columns, triton.next_power_of_2(width)),
        ZEROS=zero_point is not None,
        BIASED=bias is not None,
        EARLY=early(planes),
        num_warps=warps,
        **({"launch_pdl": True} if early(planes) else {}),
    )
    return output


@few_tokens_groups.register_fake
def _(planes: Tensor, packed: Tensor, scale: Tensor, zero_point: Tensor | None, bias: Tensor | None) -> Tensor:
    return planes.new_empty(planes.shape[0], packed.shape[0])
