"""Products of int8 activations and ternary weights on a GPU, in Triton: exact, and from two bits a weight.

One token's time is that of reading the weights, and PyTorch has no product that reads them packed. Rows are packed by
planes (`by_planes`): four bytes shifted by 2 i and masked are four neighbouring codes of plane i, one in a byte, as the
int8 instruction dp4a takes them. Imported where a model is decoded.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor, nn
from torch.library import triton_op, wrap_triton

from effcomp.compress.quant.int8 import LARGEST_CODE
from effcomp.compress.quant.int8_linear import SMALLEST
from effcomp.compress.quant.ternary import PER_BYTE, by_planes

FEW_TOKENS = 4
"""Up to so many, each reads the packed weights for itself; for more they are unpacked for one int8 product."""
BLOCK_INPUTS = 64
"""The product takes so many inputs at a time: rows of weights are filled up with zeros to a multiple of it."""
WORD = 4
"""Bytes that are read as one integer."""
WIDE = 4096
"""Outputs that keep a large GPU busy with four of them to a program."""


@triton.jit
def dot4(codes, values, sums):  # type: ignore[no-untyped-def]
    """sums + the products of four int8 in each 32-bit word of codes and values."""
    return tl.inline_asm_elementwise(
        "dp4a.s32.s32 $0, $1, $2, $3;", "=r,r,r,r", [codes, values, sums], dtype=tl.int32, is_pure=True, pack=1
    )


@triton.jit
def few_tokens_kernel(  # type: ignore[no-untyped-def]
    values, packed, token_scale, scale, output, outputs, words, ROWS: tl.constexpr, WORDS: tl.constexpr
):
    """ROWS outputs of one token. values: (tokens, 4, words) int32, packed: (outputs, words) int32."""
    token = tl.program_id(1)
    rows, columns = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, WORDS)
    inside = columns < words
    stored = tl.load(
        packed + rows[:, None] * words + columns[None, :], mask=(rows < outputs)[:, None] & inside[None, :], other=0
    )
    sums = tl.zeros((ROWS, WORDS), dtype=tl.int32)
    ones, values_sums = tl.full((WORDS,), 0x01010101, dtype=tl.int32), tl.zeros((WORDS,), dtype=tl.int32)
    for plane in tl.static_range(4):
        four = tl.load(values + (token * 4 + plane) * words + columns, mask=inside, other=0)
        sums = dot4((stored >> (2 * plane)) & 0x03030303, tl.broadcast_to(four[None, :], (ROWS, WORDS)), sums)
        values_sums = dot4(four, ones, values_sums)
    product = tl.sum(sums, axis=1) - tl.sum(values_sums, axis=0)  # what is stored is the code + 1
    product = product.to(tl.float32) * tl.load(token_scale + token) * tl.load(scale)
    tl.store(output + token * outputs + rows, product.to(output.dtype.element_ty), mask=rows < outputs)


@triton.jit
def unpack_kernel(packed, codes, words, WORDS: tl.constexpr):  # type: ignore[no-untyped-def]
    """One row: (words,) int32 to (4, words) int32, each byte a code + 1."""
    row, columns = tl.program_id(0), tl.arange(0, WORDS)
    inside = columns < words
    stored = tl.load(packed + row * words + columns, mask=inside, other=0)
    for plane in tl.static_range(4):
        tl.store(codes + (row * 4 + plane) * words + columns, (stored >> (2 * plane)) & 0x03030303, mask=inside)


@triton.jit
def product_kernel(  # type: ignore[no-untyped-def]
    values,
    codes,
    values_sums,
    token_scale,
    scale,
    output,
    tokens,
    outputs,
    inputs,
    TOKENS: tl.constexpr,
    ROWS: tl.constexpr,
    INPUTS: tl.constexpr,
    GROUP: tl.constexpr,
):
    """A block of TOKENS x ROWS outputs; GROUP blocks of tokens share what they read of the weights in the cache."""
    block, blocks_down, blocks_across = tl.program_id(0), tl.cdiv(tokens, TOKENS), tl.cdiv(outputs, ROWS)
    first = block // (GROUP * blocks_across) * GROUP
    height = min(blocks_down - first, GROUP)
    within = block % (GROUP * blocks_across)
    token = (first + within % height) * TOKENS + tl.arange(0, TOKENS)
    row = within // height * ROWS + tl.arange(0, ROWS)
    step = tl.arange(0, INPUTS)
    left = values + (token % tokens)[:, None] * inputs + step[None, :]
    right = codes + (row % outputs)[None, :] * inputs + step[:, None]
    sums = tl.zeros((TOKENS, ROWS), dtype=tl.int32)
    for _ in range(0, inputs, INPUTS):
        sums = tl.dot(tl.load(left), tl.load(right), sums, out_dtype=tl.int32)
        left += INPUTS
        right += INPUTS
    there = token < tokens
    sums -= tl.load(values_sums + token, mask=there, other=0)[:, None]
    product = sums.to(tl.float32) * tl.load(token_scale + token, mask=there, other=0)[:, None] * tl.load(scale)
    tl.store(
        output + token[:, None] * outputs + row[None, :],
        product.to(output.dtype.element_ty),
        mask=there[:, None] & (row < outputs)[None, :],
    )


@triton_op("effcomp::ternary_few_tokens", mutates_args={})
def few_tokens(values: Tensor, token_scale: Tensor, packed: Tensor, scale: Tensor) -> Tensor:
    """The same as `many_tokens`, each token for itself."""
    (tokens, inputs), outputs = values.shape, packed.shape[0]
    output = torch.empty(tokens, outputs, dtype=torch.bfloat16, device=values.device)
    words = inputs // PER_BYTE // WORD
    rows, warps = (4, 4) if words > 256 else (4, 2) if outputs >= WIDE else (2, 1)  # the fastest on an H100
    wrap_triton(few_tokens_kernel)[(triton.cdiv(outputs, rows), tokens)](
        values.view(torch.int32),
        packed.view(torch.int32),
        token_scale,
        scale,
        output,
        outputs,
        words,
        ROWS=rows,
        WORDS=triton.next_power_of_2(words),
        num_warps=warps,
    )
    return output


@triton_op("effcomp::ternary_many_tokens", mutates_args={})
def many_tokens(values: Tensor, token_scale: Tensor, packed: Tensor, scale: Tensor, block_tokens: int) -> Tensor:
    """y = token_scale * scale * (values @ weights^T), the sums in integers.

    Args:
        values: (tokens, in) int8.
        token_scale: (tokens,) float32.
        packed: (out, in / 4) uint8, by planes; in a multiple of BLOCK_INPUTS.
        scale: () float32.
        block_tokens: a block of the GPU computes so many tokens of as many outputs.

    Returns:
        (tokens, out) bfloat16.
    """
    (tokens, inputs), outputs = values.shape, packed.shape[0]
    codes = torch.empty(outputs, inputs, dtype=torch.int8, device=values.device)
    words = inputs // PER_BYTE // WORD
    wrap_triton(unpack_kernel)[(outputs,)](
        packed.view(torch.int32), codes.view(torch.int32), words, WORDS=triton.next_power_of_2(words)
    )
    output = torch.empty(tokens, outputs, dtype=torch.bfloat16, device=values.device)
    wrap_triton(product_kernel)[(triton.cdiv(tokens, block_tokens) * triton.cdiv(outputs, block_tokens),)](
        values,
        codes,
        values.sum(dim=1, dtype=torch.int32),
        token_scale,
        scale,
        output,
        tokens,
        outputs,
        inputs,
        TOKENS=block_tokens,
        ROWS=block_tokens,
        INPUTS=BLOCK_INPUTS,
        GROUP=8,
        num_warps=4,
        num_stages=4,
    )
    return output


class PackedTernaryLinear(nn.Module):
    """What `Int8Linear` computes with ternary codes, from two bits a weight."""

    packed: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, codes: Tensor, scale: Tensor, bias: Tensor | None) -> None:
        """codes: (out, in) int8 in {-1, 0, 1}; scale: () float32; bias: (out,)."""
        super().__init__()
        self.in_features = codes.shape[1]
        self.missing = -self.in_features % BLOCK_INPUTS
        self.register_buffer("packed", by_planes(nn.functional.pad(codes, (0, self.missing))))
        self.register_buffer("scale", scale.float())
        self.register_buffer("bias", None if bias is None else bias.detach().bfloat16())

    def forward(self, input: Tensor) -> Tensor:
        """(..., in) to (..., out), bfloat16."""
        tokens = input.reshape(-1, self.in_features).float()
        token_scale = (tokens.abs().amax(dim=-1) / LARGEST_CODE).clamp(min=SMALLEST)
        values = (tokens / token_scale[:, None]).round().to(torch.int8)
        if self.missing:
            values = nn.functional.pad(values, (0, self.missing))
        if len(values) <= FEW_TOKENS:
            output = few_tokens(values, token_scale, self.packed, self.scale)
        else:
            block_tokens = 64 if len(values) <= 64 else 128
            output = many_tokens(values, token_scale, self.packed, self.scale, block_tokens)
        if self.bias is not None:
            output = output + self.bias
        return output.unflatten(0, input.shape[:-1])
