"""Products of int8 activations and ternary weights on a GPU, in Triton: exact sums, from two bits a weight.

PyTorch has no product that reads weights of two bits. Rows are packed by planes (`pack_by_planes`): a row's bytes,
shifted up by 2 i and masked, are 64 times the neighbouring codes of plane i, as the GPU's int8 instructions take them.
Imported where a model is decoded.

From Hopper on a kernel starts while the one before it ends (programmatic dependent launch): it reads its weights, which
nobody writes, and waits only then for its activations.
"""

from collections.abc import Mapping

import torch
import triton
import triton.language as tl
from torch import Tensor, nn
from transformers import PreTrainedModel
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from effcomp.quant.int8_linear import LARGEST_CODE, SMALLEST
from effcomp.quant.stacked import same_input, stack
from effcomp.quant.ternary_codes import PER_BYTE, pack_by_planes

FEW_TOKENS = 4
"""Up to this many tokens, each reads the weights for itself: the matrix units would be almost empty."""
BLOCK_OUTPUTS, BLOCK_BYTES = 128, 64
"""Rows of weights that a block of the GPU takes, and bytes of each at a time; zeros pad the rows."""
SMALLEST_BLOCK, LARGEST_BLOCK = 16, 128
"""Tokens that a block computes."""
UNIT = 64
"""Value of code 1 in the highest two bits of a byte. A sum over up to 2^31 / (64 * 127) = 264,208 inputs fits."""
WORD = 4
"""Bytes that are read as one integer."""
WIDE = 4096
"""Outputs that keep a large GPU busy with four of them to a program."""


@triton.jit
def dot4(codes, values, sums):  # type: ignore[no-untyped-def]
    """Return sums + the products of four int8 in each 32-bit word of codes and values."""
    return tl.inline_asm_elementwise(
        "dp4a.s32.s32 $0, $1, $2, $3;", "=r,r,r,r", [codes, values, sums], dtype=tl.int32, is_pure=True, pack=1
    )


@triton.jit
def highest(stored):  # type: ignore[no-untyped-def]
    """Return the highest two bits of each byte, in place; four bytes lie in a register."""
    return tl.inline_asm_elementwise(
        "and.b32 $0, $1, 0xC0C0C0C0;", "=r,r", [stored], dtype=tl.int8, is_pure=True, pack=4
    )


@triton.jit
def next_plane(stored):  # type: ignore[no-untyped-def]
    """Shift the next two bits of each byte to the top. The lowest bits then come from the neighbouring byte."""
    return tl.inline_asm_elementwise("shl.b32 $0, $1, 2;", "=r,r", [stored], dtype=tl.uint8, is_pure=True, pack=4)


@triton.jit
def few_tokens_kernel(  # type: ignore[no-untyped-def]
    values,
    token_scale,
    packed,
    scale,
    output,
    outputs,
    words,
    ROWS: tl.constexpr,
    WORDS: tl.constexpr,
    EARLY: tl.constexpr,
):
    """Compute ROWS outputs of one token. values: (tokens, 4, words) int32, packed: (outputs, words) int32."""
    token, rows = tl.program_id(1), tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    columns = tl.arange(0, WORDS)
    there, inside = rows < outputs, columns < words
    if EARLY:
        gdc_launch_dependents()
    stored = tl.load(packed + rows[:, None] * words + columns[None, :], mask=there[:, None] & inside[None, :], other=0)
    row_scale = tl.load(scale + rows, mask=there, other=0)
    if EARLY:
        gdc_wait()
    products = tl.zeros((ROWS, WORDS), dtype=tl.int32)
    for number in tl.static_range(4):
        four = tl.load(values + (token * 4 + number) * words + columns, mask=inside, other=0)
        codes = (stored << (2 * number)) & -0x3F3F3F40  # 0xC0C0C0C0
        products = dot4(codes, tl.broadcast_to(four[None, :], (ROWS, WORDS)), products)
    found = tl.sum(products, axis=1).to(tl.float32) * tl.load(token_scale + token) * row_scale
    tl.store(output + token * outputs + rows, found.to(output.dtype.element_ty), mask=there)


@triton.jit
def product_kernel(  # type: ignore[no-untyped-def]
    values,
    token_scale,
    packed,
    scale,
    output,
    tokens,
    outputs,
    width,
    TOKENS: tl.constexpr,
    ROWS: tl.constexpr,
    BYTES: tl.constexpr,
    GROUP: tl.constexpr,
):
    """Compute a block of ROWS x TOKENS outputs; GROUP blocks of tokens share the weights in the cache.

    values: (tokens, 4, width) int8, packed: (outputs, width) uint8. The weights become int8 in registers.
    """
    block, blocks_down, blocks_across = tl.program_id(0), tl.cdiv(tokens, TOKENS), tl.cdiv(outputs, ROWS)
    first = block // (GROUP * blocks_across) * GROUP
    height = min(blocks_down - first, GROUP)
    within = block % (GROUP * blocks_across)
    token = (first + within % height) * TOKENS + tl.arange(0, TOKENS)
    row = within // height * ROWS + tl.arange(0, ROWS)
    step = tl.arange(0, BYTES)
    left = packed + (row % outputs)[:, None] * width + step[None, :]
    right = values + (token % tokens)[None, :] * (4 * width) + step[:, None]
    products = tl.zeros((ROWS, TOKENS), dtype=tl.int32)
    for _ in range(0, width, BYTES):
        stored = tl.load(left)
        for number in tl.static_range(4):
            products = tl.dot(highest(stored), tl.load(right + number * width), products, out_dtype=tl.int32)
            stored = next_plane(stored)
        left += BYTES
        right += BYTES
    here, there = token < tokens, row < outputs
    found = products.to(tl.float32) * tl.load(token_scale + token, mask=here, other=0)[None, :]
    found *= tl.load(scale + row, mask=there, other=0)[:, None]
    place = output + token[None, :] * outputs + row[:, None]
    tl.store(place, found.to(output.dtype.element_ty), mask=here[None, :] & there[:, None])


@torch.library.custom_op("effcomp::ternary_product", mutates_args=())
def ternary_product(values: Tensor, token_scale: Tensor, packed: Tensor, scale: Tensor) -> Tensor:
    """Return y = token_scale * scale * (values @ (UNIT * codes)^T), the sums in integers.

    Args:
        values: (tokens, in) int8.
        token_scale: (tokens,) float32.
        packed: (out, in / 4) uint8, by planes; in / 4 is a multiple of BLOCK_BYTES.
        scale: (out,) float32.

    Returns:
        (tokens, out) bfloat16.
    """
    tokens, (outputs, width) = len(values), packed.shape
    output = torch.empty(tokens, outputs, dtype=torch.bfloat16, device=values.device)
    if tokens <= FEW_TOKENS:
        words = width // WORD
        rows, warps = (4, 4) if words > 256 else (4, 2) if outputs >= WIDE else (2, 1)  # the fastest on an H100
        early = torch.cuda.get_device_capability(values.device) >= (9, 0)
        few_tokens_kernel[(triton.cdiv(outputs, rows), tokens)](
            values.view(torch.int32),
            token_scale,
            packed.view(torch.int32),
            scale,
            output,
            outputs,
            words,
            ROWS=rows,
            WORDS=triton.next_power_of_2(words),
            EARLY=early,
            num_warps=warps,
            **({"launch_pdl": True} if early else {}),
        )
        return output
    block = min(max(triton.next_power_of_2(tokens), SMALLEST_BLOCK), LARGEST_BLOCK)
    product_kernel[(triton.cdiv(tokens, block) * triton.cdiv(outputs, BLOCK_OUTPUTS),)](
        values,
        token_scale,
        packed,
        scale,
        output,
        tokens,
        outputs,
        width,
        TOKENS=block,
        ROWS=BLOCK_OUTPUTS,
        BYTES=BLOCK_BYTES,
        GROUP=8,
        num_warps=4,
        num_stages=3,
    )
    return output


@ternary_product.register_fake
def _(values: Tensor, token_scale: Tensor, packed: Tensor, scale: Tensor) -> Tensor:
    return values.new_empty(values.shape[0], packed.shape[0], dtype=torch.bfloat16)


class PackedTernaryLinear(nn.Module):
    """Layer that computes what `Int8Linear` does with ternary codes, from two bits a weight."""

    packed: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, codes: Tensor, scale: Tensor, bias: Tensor | None) -> None:
        """Take codes: (out, in) int8 in {-1, 0, 1}; scale: (out,) float32; bias: (out,)."""
        super().__init__()
        self.in_features = codes.shape[1]
        self.missing = -self.in_features % (PER_BYTE * BLOCK_BYTES)
        self.register_buffer("packed", pack_by_planes(nn.functional.pad(codes, (0, self.missing))))
        self.register_buffer("scale", scale / UNIT)
        self.register_buffer("bias", None if bias is None else bias.detach().bfloat16())

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., in) to (..., out), bfloat16."""
        tokens = input.reshape(-1, self.in_features).float()
        token_scale = (tokens.abs().amax(dim=-1) / LARGEST_CODE).clamp(min=SMALLEST)
        values = nn.functional.pad((tokens / token_scale[:, None]).round().to(torch.int8), (0, self.missing))
        output = ternary_product(values, token_scale, self.packed, self.scale)
        if self.bias is not None:
            output = output + self.bias
        outputs: Tensor = output.unflatten(0, input.shape[:-1])
        return outputs


TernaryCodes = tuple[Tensor, Tensor, Tensor | None]
"""Codes (out, in) int8, scale () float32, bias (out,) or None."""


def pack_layers(model: PreTrainedModel, coded: Mapping[str, TernaryCodes]) -> None:
    """Replace these layers by packed ones, in place; layers that read the same input become one."""
    together = [names for names in same_input(model) if set(names) <= set(coded)]
    alone = set(coded).difference(*together)
    for names in [*together, *([name] for name in sorted(alone))]:
        codes, scales, biases = zip(*(coded[name] for name in names), strict=True)
        sizes = [len(of_one) for of_one in codes]
        by_output = [scale.float().expand(size) for scale, size in zip(scales, sizes, strict=True)]
        bias = None if None in biases else torch.cat(biases)
        whole = PackedTernaryLinear(torch.cat(codes), torch.cat(by_output), bias)
        if len(names) == 1:
            model.set_submodule(names[0], whole)
        else:
            stack(model, names, whole, sizes)
