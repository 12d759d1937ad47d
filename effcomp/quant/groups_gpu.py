"""Products of a few tokens with a matrix of 4-bit codes on a GPU, in Triton: codes are read once, as they are stored.

Few instructions a weight matter as much as few bytes: most of the time goes by after the kernel before this one, whose
outputs it waits for. Imported where a model is decoded.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from effcomp.quant.few_tokens_gpu import early, store_outputs

GROUP = 32
"""Columns of 4-bit codes with one scale are a multiple of this."""
SMALL = 1 << 19
"""Words of a matrix that leaves most of a GPU without work."""

BIASED_PRODUCTS = tl.constexpr("""{
    .reg .b32 at_3, at_4, from_2048, from_128, moved, code;
    .reg .f32 sum;
    mov.b32 at_3, 0x0000F000;
    mov.b32 at_4, 0x000F0000;
    mov.b32 from_2048, 0x45000000;
    mov.b32 from_128, 0x43000000;
    lop3.b32 code, $1, at_3, from_2048, 0xEA;
    fma.rn.f32 sum, code, $5, $10;
    lop3.b32 code, $1, at_4, from_128, 0xEA;
    fma.rn.f32 sum, code, $6, sum;
    shl.b32 moved, $1, 8;
    lop3.b32 code, moved, at_3, from_2048, 0xEA;
    fma.rn.f32 sum, code, $3, sum;
    lop3.b32 code, moved, at_4, from_128, 0xEA;
    fma.rn.f32 sum, code, $4, sum;
    shr.u32 moved, $1, 8;
    lop3.b32 code, moved, at_3, from_2048, 0xEA;
    fma.rn.f32 sum, code, $7, sum;
    lop3.b32 code, moved, at_4, from_128, 0xEA;
    fma.rn.f32 sum, code, $8, sum;
    shl.b32 moved, $1, 16;
    lop3.b32 code, moved, at_4, from_128, 0xEA;
    fma.rn.f32 sum, code, $2, sum;
    shr.u32 moved, $1, 16;
    lop3.b32 code, moved, at_3, from_2048, 0xEA;
    fma.rn.f32 $0, code, $9, sum;
}""")
"""$0 = $10 + the products of the eight 4-bit codes of word $1 with the values $2 to $9.

In the mantissa of a power of two a code is that power plus the code (lop3 0xEA is (a & b) | c): in bits 12 to 15 of
2048, in bits 16 to 19 of 128. Four shifts serve eight codes; $10 takes the powers away."""


@triton.jit
def of_words(stored, pairs, zero_points, width, columns, inside, ZEROS: tl.constexpr):  # type: ignore[no-untyped-def]
    """Return (rows, words / 4): the products of four words of codes less 8 (and their zero point) with the values.

    stored: (rows, words) int32, pairs: (4, width) int32, two bfloat16 values each, columns, inside: (words,).
    """
    pair_0 = tl.load(pairs + columns, mask=inside, other=0)
    pair_1 = tl.load(pairs + width + columns, mask=inside, other=0)
    pair_2 = tl.load(pairs + 2 * width + columns, mask=inside, other=0)
    pair_3 = tl.load(pairs + 3 * width + columns, mask=inside, other=0)
    value_0, value_1 = even(pair_0), odd(pair_0)
    value_2, value_3 = even(pair_1), odd(pair_1)
    value_4, value_5 = even(pair_2), odd(pair_2)
    value_6, value_7 = even(pair_3), odd(pair_3)
    at_3, at_4 = value_1 + value_3 + value_5 + value_7, value_0 + value_2 + value_4 + value_6
    bias = at_3 * -(2048.0 + 8.0) - at_4 * (128.0 + 8.0)
    products = tl.inline_asm_elementwise(
        BIASED_PRODUCTS,
        "=f,r,f,f,f,f,f,f,f,f,f",
        [
            stored,
            value_0[None, :],
            value_1[None, :],
            value_2[None, :],
            value_3[None, :],
            value_4[None, :],
            value_5[None, :],
            value_6[None, :],
            value_7[None, :],
            bias[None, :],
        ],
        dtype=tl.float32,
        is_pure=True,
        pack=1,
    )
    found = tl.sum(tl.reshape(products, (stored.shape[0], stored.shape[1] // 4, 4)), axis=2)
    if ZEROS:
        found -= zero_points * tl.sum(tl.reshape(at_3 + at_4, (stored.shape[1] // 4, 4)), axis=1)[None, :]
    return found


@triton.jit
def even(pair):  # type: ignore[no-untyped-def]
    """Return the first bfloat16 of a pair."""
    return (pair << 16).to(tl.float32, bitcast=True)


@triton.jit
def odd(pair):  # type: ignore[no-untyped-def]
    """Return the second bfloat16 of a pair."""
    return (pair & -65536).to(tl.float32, bitcast=True)


@triton.jit
def groups_kernel(  # type: ignore[no-untyped-def]
    pairs,
    packed,
    scale,
    zero_point,
    bias,
    residual,
    output,
    outputs,
    width,
    groups,
    SHARED: tl.constexpr,
    ROWS: tl.constexpr,
    WORDS: tl.constexpr,
    REST: tl.constexpr,
    ZEROS: tl.constexpr,
    BIASED: tl.constexpr,
    ACTIVATION: tl.constexpr,
    ADDED: tl.constexpr,
    EARLY: tl.constexpr,
):
    """Compute ROWS outputs of one token, WORDS words of each row and the rest of up to REST.

    pairs: (tokens, 4, width) int32, packed: (outputs, width) int32 with eight codes in a word, scale, zero_point:
    (outputs, groups); SHARED words of a row have one scale, a multiple of 4.
    """
    token, rows = tl.program_id(1), tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    there, first, rest = rows < outputs, tl.arange(0, WORDS), WORDS + tl.arange(0, REST)
    fours, later = 4 * tl.arange(0, WORDS // 4), WORDS + 4 * tl.arange(0, REST // 4)
    place, group, values = (
        packed + rows.to(tl.int64)[:, None] * width,
        rows[:, None] * groups,
        pairs + token * 4 * width,
    )
    both, and_rest = there[:, None], there[:, None] & (later < width)[None, :]
    if EARLY:
        gdc_launch_dependents()
    stored = tl.load(place + first[None, :], mask=both, other=0)
    more = tl.load(place + rest[None, :], mask=both & (rest < width)[None, :], other=0)
    scales = tl.load(scale + group + (fours // SHARED)[None, :], mask=both, other=0)
    more_scales = tl.load(scale + group + (later // SHARED)[None, :], mask=and_rest, other=0)
    zeros, more_zeros = scales, more_scales
    if ZEROS:
        zeros = tl.load(zero_point + group + (fours // SHARED)[None, :], mask=both, other=0)
        more_zeros = tl.load(zero_point + group + (later // SHARED)[None, :], mask=and_rest, other=0)
    if EARLY:
        gdc_wait()
    found = tl.sum(of_words(stored, values, zeros, width, first, first < width, ZEROS) * scales, axis=1)
    found += tl.sum(of_words(more, values, more_zeros, width, rest, rest < width, ZEROS) * more_scales, axis=1)
    store_outputs(found, token, rows, there, bias, residual, output, outputs, BIASED, ACTIVATION, ADDED)


@torch.library.custom_op("effcomp::few_tokens_groups", mutates_args=())
def few_tokens_groups(
    pairs: Tensor,
    packed: Tensor,
    scale: Tensor,
    zero_point: Tensor | None,
    bias: Tensor | None,
    activation: str = "",
    residual: Tensor | None = None,
) -> Tensor:
    """Return activation(values @ weight^T + bias) + residual with a weight of 4 bits, summed in float32.

    Args:
        pairs: (tokens, 4, in / 8, 2) bfloat16: values 8 i + 2 k and 8 i + 2 k + 1 of a token are pair (k, i).
        packed: (out, in / 2) uint8, codes + 8, the even columns in the low half.
        scale: (out, groups) float32, of in / groups columns each, a multiple of GROUP.
        zero_point: (out, groups) float32; None: all are 0.
        bias: (out,).
        activation: "gelu_new", "gelu", "relu" or "", which is none.
        residual: (tokens, out).

    Returns:
        (tokens, out) bfloat16.
    """
    words, outputs = packed.view(torch.int32), len(packed)
    output, width, groups = pairs.new_empty(len(pairs), outputs), words.shape[1], scale.shape[1]
    largest = 1 << (width.bit_length() - 1)
    if outputs * width < SMALL:  # the fastest on an H200
        rows, warps = (4, 4) if width <= 128 else (1, 4)
    else:
        rows, warps = 4 if outputs >= 4096 and width <= 512 else 2, min(max(largest // 512, 1), 8)
    groups_kernel[(triton.cdiv(outputs, rows), len(pairs))](
        pairs.contiguous().view(torch.int32),
        words,
        scale,
        zero_point,
        bias,
        None if residual is None else residual.contiguous(),
        output,
        outputs,
        width,
        groups,
        SHARED=width // groups,
        ROWS=rows,
        WORDS=largest,
        REST=triton.next_power_of_2(max(width - largest, 4)),
        ZEROS=zero_point is not None,
        BIASED=bias is not None,
        ACTIVATION=activation,
        ADDED=residual is not None,
        EARLY=early(pairs),
        num_warps=warps,
        **({"launch_pdl": True} if early(pairs) else {}),
    )
    return output


@few_tokens_groups.register_fake
def _(
    pairs: Tensor,
    packed: Tensor,
    scale: Tensor,
    zero_point: Tensor | None,
    bias: Tensor | None,
    activation: str = "",
    residual: Tensor | None = None,
) -> Tensor:
    return pairs.new_empty(pairs.shape[0], packed.shape[0])
